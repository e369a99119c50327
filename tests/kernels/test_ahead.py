"""The tool that compiles kernels without a GPU: what it tells of sound kernels, and that it finds unsound ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", minversion="3.3")

KERNELS = """
import triton
import triton.language as tl

from ohlora_fast.kernels.form import Form


@triton.jit
def scale(source, target, count, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(source + i, mask=i < count, other=0.0)
    tl.store(target + i, x / tl.sum(x), mask=i < count)


@triton.jit
def broken(source, target, count, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target + i, tl.load(source + i) + nowhere, mask=i < count)


@triton.jit
def product(a, b, c, steps, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m, n, k = tl.arange(0, M)[:, None], tl.arange(0, N)[None, :], tl.arange(0, K)
    total = tl.zeros((M, N), tl.float32)
    for step in range(steps):
        at = step * K + k
        total = tl.dot(tl.load(a + m * 4096 + at[None, :]), tl.load(b + at[:, None] * 4096 + n), total)
    tl.store(c + m * 4096 + n, total)


ARRAYS = {"source": "*fp32", "target": "*fp32", "count": "i32", "BLOCK": "constexpr"}
MATRICES = {"a": "*fp16", "b": "*fp16", "c": "*fp32", "steps": "i32", **dict.fromkeys("MNK", "constexpr")}


def arrays(name, kernel, block, **options):
    options = {"num_warps": 4, "enable_fp_fusion": True} | options
    return Form(name, kernel, ARRAYS, {"BLOCK": block}, options, divisible=("source", "target"))


def matrices(stages):
    options = {"num_warps": 8, "num_stages": stages, "enable_fp_fusion": True}
    return Form("greedy", product, MATRICES, {"M": 128, "N": 256, "K": 64}, options, divisible=("a", "b", "c"))
"""
SOUND = (
    KERNELS
    + 'def forms(): return [arrays("scale", scale, 1024), arrays("scale of one warp", scale, 256, num_warps=1)]\n'
)
UNSOUND = KERNELS + (
    "def forms():\n"
    '    return [arrays("scale", scale, 1024), arrays("broken", broken, 1024), matrices(stages=5),\n'
    '            arrays("tight", scale, 16384, maxnreg=32), arrays("misspelt", scale, 1024, num_wraps=4)]\n'
)


def ahead(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tool in a process in which kernels are compiled, not interpreted."""
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join(filter(None, [str(folder), inherited.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "ohlora_fast.kernels.ahead", *arguments], cwd=folder, capture_output=True, text=True,
        env=inherited | {"PYTHONPATH": path} | environment, check=False,
    )  # fmt: skip


def test_tells_what_sound_kernels_take(tmp_path: Path) -> None:
    (tmp_path / "sound.py").write_text(SOUND)
    done = ahead("sound", "-o", "taken.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "taken.json").read_text())
    assert found["failures"] == []
    kernels = {(one["name"], one["arch"]): one for one in found["kernels"]}
    assert list(kernels) == [(name, arch) for name in ("scale", "scale of one warp") for arch in (80, 90)]
    for (name, arch), one in kernels.items():
        assert 16 <= one["registers"] <= 64
        assert one["stack"] == 0
        # The sum crosses warps through shared memory, unless there is one warp.
        assert (one["warps"], one["shared"] > 0) == ((4, True) if name == "scale" else (1, False))
        assert 1_000 < one["ptx"] < 100_000
        assert 1_000 < one["cubin"] < 100_000
        assert f"| {name} | {arch} | {one['warps']} | {one['registers']} | 0 |" in done.stdout


def test_one_line_for_each_unsound_kernel(tmp_path: Path) -> None:
    (tmp_path / "unsound.py").write_text(UNSOUND)
    done = ahead("unsound", "--arch", "80", folder=tmp_path)
    assert done.returncode == 1
    assert "| scale | 80 | 4 |" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    starts = [
        "error: broken, sm_80: CompilationError: at 3:47: NameError('nowhere is not defined')",
        "error: greedy, sm_80: needs ",
        "error: tight, sm_80: spills: ",
        "error: misspelt, sm_80: ValueError: options unknown to Triton: num_wraps",
    ]
    assert len(errors) == len(starts), done.stderr
    assert all(line.startswith(start) for line, start in zip(errors, starts, strict=True)), errors


def test_a_module_that_cannot_be_imported_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "sound.py").write_text(SOUND)
    (tmp_path / "halved.py").write_text("import triton\nraise OSError('no such luck')\n")
    done = ahead("halved", "sound", "--arch", "90", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: halved: OSError: no such luck"]
    assert "| scale | 90 |" in done.stdout


def test_refuses_to_interpret(tmp_path: Path) -> None:
    done = ahead(folder=tmp_path, TRITON_INTERPRET="1")
    assert done.returncode == 2
    assert "TRITON_INTERPRET" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_names_every_form_of_the_package_once(tmp_path: Path) -> None:
    done = ahead("--names", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    names = done.stdout.splitlines()
    assert len(names) == len(set(names))
    for module in ("ombre", "head", "lateral"):
        assert any(name.startswith(f"ohlora_fast.kernels.{module}: ") for name in names)

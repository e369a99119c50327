"""What setup.py does about the CUDA kernels; nothing is compiled here."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from ohlora_fast.ops.ombre_cuda import cuda_build

NEEDS_CMAKE = pytest.mark.skipif(
    not (shutil.which("cmake") and importlib.util.find_spec("pybind11")), reason="CMake or pybind11 is not installed"
)
SETUP = Path(__file__).parents[1] / "setup.py"


@pytest.fixture
def setup(monkeypatch):
    """The functions of setup.py, in an environment that asks for nothing."""
    for name in ("OHLORA_CUDA", "OHLORA_WERROR", "CUDACXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("ohlora_fast_setup", SETUP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compiler(tmp_path):
    """Writes a program that takes nvcc's place."""

    def write(script, folder="compiler"):
        path = tmp_path / folder / "nvcc"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "installed"
    path.mkdir()
    return path


def why_not(folder):
    return (folder / "_cuda_missing.txt").read_text(encoding="utf-8")


def test_zero_skips_the_kernels_and_takes_older_ones_away(setup, folder, monkeypatch):
    monkeypatch.setenv("OHLORA_CUDA", "0")
    (folder / "_cuda.cpython-311-x86_64-linux-gnu.so").touch()
    (folder / "_core.cpython-311-x86_64-linux-gnu.so").touch()
    setup.build_cuda(folder / "build", folder)
    assert why_not(folder) == "OHLORA_CUDA was 0\n"
    assert sorted(path.name[:5] for path in folder.iterdir()) == ["_core", "_cuda"]


def test_without_a_compiler_the_package_works_without_the_kernels(setup, folder, monkeypatch):
    monkeypatch.setattr(setup, "find_nvcc", lambda: None)
    setup.build_cuda(folder / "build", folder)
    assert why_not(folder) == "no CUDA compiler nvcc was found\n"
    monkeypatch.setenv("OHLORA_CUDA", "1")
    with pytest.raises(SystemExit, match=r"^OHLORA_CUDA is 1, but no CUDA compiler nvcc was found$"):
        setup.build_cuda(folder / "build", folder)


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts take nvcc's place")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'nvcc fatal   : no licence' >&2; exit 1", "failed: nvcc fatal : no licence"),
        pytest.param('[ "$1" = --version ]', "failed: CMake Error", marks=NEEDS_CMAKE),
    ],
)
def test_a_compiler_that_fails_is_named(setup, folder, compiler, monkeypatch, script, reason):
    broken = compiler(script)
    monkeypatch.setenv("CUDACXX", broken)
    setup.build_cuda(folder / "build", folder)
    assert why_not(folder).startswith(f"the build with {broken} {reason}")
    assert why_not(folder).count("\n") == 1
    monkeypatch.setenv("OHLORA_CUDA", "1")
    with pytest.raises(SystemExit, match=f"^OHLORA_CUDA is 1, but the build with {broken} {reason}"):
        setup.build_cuda(folder / "build", folder)


def test_a_compiler_that_is_not_there_is_named(setup, folder, monkeypatch):
    monkeypatch.setenv("CUDACXX", "/nowhere/nvcc")
    setup.build_cuda(folder / "build", folder)
    assert why_not(folder) == "/nowhere/nvcc does not run: No such file or directory\n"


def test_unknown_wishes_are_refused(setup, folder, monkeypatch):
    monkeypatch.setenv("OHLORA_CUDA", "yes")
    with pytest.raises(SystemExit, match="OHLORA_CUDA: got 'yes', allowed are 1, 0 and auto"):
        setup.build_cuda(folder / "build", folder)


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts take nvcc's place")
def test_the_compiler_that_is_named_comes_first(setup, compiler, monkeypatch):
    on_path, at_home = compiler("true"), compiler("true", "home/bin")
    monkeypatch.setenv("PATH", str(Path(on_path).parent))
    assert setup.find_nvcc() == on_path
    monkeypatch.setenv("CUDA_HOME", str(Path(at_home).parents[1]))
    assert setup.find_nvcc() == at_home
    monkeypatch.setenv("CUDACXX", "/named/nvcc")
    assert setup.find_nvcc() == "/named/nvcc"


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("[1/3] nvcc -c x.cu\nx.cu(3): error: no such type\n1 error detected\n", "x.cu(3): error: no such type"),
        ("nvcc fatal   : Unsupported gpu architecture 'compute_80'\nmore\n",
         "nvcc fatal : Unsupported gpu architecture 'compute_80'"),
        ("-- ok\nCMake Error at csrc/cuda.cmake:7 (enable_language):\n  The compiler:\n\n    /x\n\n  is missing\n",
         "The compiler: /x"),
        ("killed\n", "killed"),
        ("", "it printed nothing"),
    ],
)  # fmt: skip
def test_the_line_that_says_what_went_wrong(setup, output, line):
    assert setup.first_error(output) == line


def test_missing_kernels_have_a_reason_of_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ohlora_fast._cuda", None)
    reason = cuda_build()["missing"]
    assert reason
    assert "\n" not in reason

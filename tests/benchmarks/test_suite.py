"""The CPU benchmarks: what is run and skipped, and that it does what it should. No time decides about a test."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import (
    baselines,
    bench_dye,
    bench_heads,
    bench_memory,
    bench_ombre,
    bench_student,
    bench_teacher,
    conftest,
    report,
    run,
    setting,
)
from ohlora_fast.benchmarks.result_file import read_results

from ohlora_fast.errors import InputError
from ohlora_fast.student.engines import package_problem

SIZE = bench_student.SIZE


# What is run


@pytest.mark.parametrize("question", run.QUESTIONS)
def test_every_question_says_what_it_asks_and_names_each_provider_once(question: str) -> None:
    module = import_module(f"ohlora_fast.benchmarks.bench_{question}")
    assert "?" in module.__doc__.splitlines()[0]
    assert len(set(module.PROVIDERS)) == len(module.PROVIDERS) > 1


def test_optional_peers_say_why_they_do_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_student, "package_problem", lambda package: f"no {package}")
    monkeypatch.setattr(bench_ombre, "package_problem", lambda package: f"no {package}")
    assert bench_student.problem(bench_student.OPENVINO) == "no openvino"
    assert bench_student.problem(bench_student.DEFAULT) is None
    assert bench_ombre.problem("hairtone") == "no hairtone"
    assert bench_ombre.problem("cpp") is None

    monkeypatch.delenv(bench_student.MEDIAPIPE, raising=False)
    assert "OHLORA_MEDIAPIPE names no hair_segmenter.tflite" in str(
        bench_student.problem(bench_student.MEDIAPIPE_MODEL)
    )
    model = tmp_path / "hair_segmenter.tflite"
    monkeypatch.setenv(bench_student.MEDIAPIPE, str(model))
    assert bench_student.problem(bench_student.MEDIAPIPE_MODEL) == f"OHLORA_MEDIAPIPE: {model}: no such file"
    model.touch()
    assert bench_student.problem(bench_student.MEDIAPIPE_MODEL) == "no ai_edge_litert"


def test_quick_leaves_out_what_is_slow_to_start() -> None:
    assert run.problem(bench_student, bench_student.COMPILED, quick=False) is None
    assert str(run.problem(bench_student, bench_student.COMPILED, quick=True)).startswith("left out by --quick: ")
    assert run.problem(bench_teacher, bench_teacher.BUNDLED, quick=True) is None


@pytest.mark.parametrize(("naps", "rounds"), [((0.0, 0.0), 15), ((0.6, 0.3), 3), ((1.2,), 1)])
def test_quick_runs_what_fits_into_a_second(
    naps: tuple[float, ...], rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is a false one, on which each call takes its nap."""
    clock, to_come = [0.0], list(naps)
    monkeypatch.setattr(conftest, "perf_counter", lambda: clock[0])

    def call() -> None:
        clock[0] += to_come.pop(0)

    assert conftest.affordable(call, most=15) == rounds
    assert not to_come


def test_every_provider_has_its_turn_and_failures_stop_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    calls: list[tuple[str, int, bool]] = []

    def fake(question: str, provider: str, threads: int, quick: bool) -> list[run.Measured]:
        calls.append((provider, threads, quick))
        if provider == "broken":
            raise InputError("pytest failed")
        turn = sum(provider == one for one, *_ in calls)
        return [("fruit, ripe", "bytes" if provider == "heavy" else "s", [float(turn), 5.0])]

    module = SimpleNamespace(
        PROVIDERS=("sound", "broken", "elsewhere", "heavy"),
        problem=lambda provider: "no such machine" if provider == "elsewhere" else None,
    )
    monkeypatch.setattr(run, "run_provider", fake)
    monkeypatch.setattr(run, "import_module", lambda name: module)
    found = run.run_questions(["ombre"], turns=3, say=said.append, threads=7, quick=True)
    assert calls == [(name, 7, True) for name in ("sound", "broken", "heavy", "sound", "heavy", "sound", "heavy")]
    assert found["groups"] == {
        "fruit, ripe": {"sound": {"median_s": 4.0, "rounds": 6}, "heavy": {"median_bytes": 4.0, "rounds": 6}}
    }
    assert found["skipped"] == {"ombre": {"elsewhere": "no such machine"}}
    assert found["failed"] == {"ombre": {"broken": "pytest failed"}}
    assert (found["threads"], found["quick"]) == (7, True)
    assert "ombre, turn 2 of 3: heavy" in said
    text = report.as_text(found)
    assert "- not run here: ombre, elsewhere: no such machine\n- FAILED: ombre, broken: pytest failed" in text
    assert "2 cores, 7 threads, with --quick;" in text.replace(f"{found['machine']['cores']} cores", "2 cores")


def test_an_unknown_question() -> None:
    with pytest.raises(InputError, match=r"got 'melon', allowed are dye, heads, memory, ombre"):
        run.run_questions(["melon"])


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "²"])
def test_a_wrong_number_of_threads(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting.THREADS, text)
    with pytest.raises(InputError, match=rf"OHLORA_BENCH_THREADS: got {text!r}, allowed is a whole number from 1 on"):
        setting.threads()


def test_a_run_from_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A question that needs few seconds, for real."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # in which pytest-benchmark would measure nothing
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "ohlora_fast.cli", "benchmark", "start", "--quick", "--threads", "1"]
    done = subprocess.run([*command, "-o", file], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_results(file)
    assert list(found["groups"]) == ["start, fresh process"]
    assert set(found["groups"]["start, fresh process"]) >= {"Python alone", "import ohlora_fast"}
    assert found["threads"] == 1
    assert "| import ohlora_fast | " in done.stdout
    assert re.search(r"^- (MET|MISSED): import: ", done.stdout, re.MULTILINE)


def test_a_provider_that_fails_names_its_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if package_problem("ai_edge_litert"):
        pytest.skip("ai_edge_litert is not installed")
    model = tmp_path / "broken.tflite"
    model.write_bytes(b"no model")
    monkeypatch.setenv(bench_student.MEDIAPIPE, str(model))
    with pytest.raises(InputError, match=r"pytest failed \(.*Flatbuffer"):
        run.run_provider("student", bench_student.MEDIAPIPE_MODEL, 1, quick=True)


def test_the_peak_of_a_copy_is_the_photo(tmp_path: Path) -> None:
    if not bench_memory.STATUS.is_file():
        pytest.skip("no /proc")
    photo = np.full((2048, 2048, 3), 7, np.uint8)
    np.save(tmp_path / "photo.npy", photo)
    added = bench_memory.added(bench_memory.COPY, tmp_path / "photo.npy")
    assert abs(added - photo.nbytes) < 2**20


# What is timed does what it should


def test_providers_of_the_ombre_dye_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    outputs = {
        name: np.asarray(bench_ombre.make(name, image, baselines.head_of_hair(), 1)())
        for name in ("cpp", "recorded", "vectorised", "numpy", "torch")
    }
    outputs["torch"] = outputs["torch"].transpose(1, 2, 0)
    assert (outputs["numpy"] != image).any()
    for name, dyed in outputs.items():
        assert np.abs(dyed.astype(int) - outputs["numpy"]).max() <= 1, name


@pytest.mark.filterwarnings("ignore")
def test_forms_of_each_student_agree() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)

    def output(provider: str) -> Any:
        found: Any = bench_student.make(provider, images, 1)()
        return np.asarray(found[0] if isinstance(found, list) else found).reshape(2, SIZE, SIZE)

    default, reference = output(bench_student.FLOAT), output(bench_student.REWRITTEN)
    assert np.abs(default - output("default, torch engine")).max() < 1e-3
    assert np.abs(default - output(bench_student.DEFAULT)).mean() < 0.05
    peers = ["reference, torch eager", bench_student.UNMODIFIED]
    peers += [bench_student.OPENVINO] if bench_student.problem(bench_student.OPENVINO) is None else []
    for provider in peers:
        assert np.abs(reference - output(provider)).max() < 1e-3, provider
    encoded: Any = bench_student.make(bench_student.ENCODER, images, 1)()
    assert [feature.shape[1:] for feature in encoded] == [
        (16, 112, 112), (24, 56, 56), (48, 28, 28), (120, 14, 14), (352, 7, 7),
    ]  # fmt: skip


def test_groups_have_as_many_heads_as_they_say() -> None:
    pytest.importorskip("skimage")
    for heads, across in bench_heads.ACROSS.items():
        photo = bench_heads.group(int(heads), across)
        found: Any = bench_heads.make(bench_heads.FIND, photo, 1)()
        assert len(found) == int(heads)
    dyed: Any = bench_heads.make(bench_heads.DYE, photo, 1)()
    assert all((dyed != photo)[int(y0) : int(y1), int(x0) : int(x1)].any() for x0, y0, x1, y1 in found.boxes)


def test_stages_of_a_dye_lead_to_it(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    photo = setting.portraits(1, 300)[0]
    outputs: dict[str, Any] = {
        name: bench_dye.make(name, photo, 1, tmp_path)() for name in ("dye", "squash", "student", "ombre")
    }
    assert outputs["squash"].shape == (SIZE, SIZE, 3)
    assert outputs["student"].shape == (1, SIZE, SIZE)
    np.testing.assert_array_equal(outputs["ombre"], outputs["dye"])
    assert (outputs["dye"] != photo).any()
    read: Any = bench_dye.make("read JPEG", photo, 1, tmp_path)()
    assert np.abs(read.astype(int) - photo).mean() < 5
    file = tmp_path / "photo.jpg"
    file.unlink()
    write = bench_dye.make("write JPEG", photo, 1, tmp_path)
    file.write_bytes(b"")
    write()
    assert file.stat().st_size > 1000

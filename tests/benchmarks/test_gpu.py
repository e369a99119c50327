"""The GPU benchmarks, run on the CPU: every provider that can, on tiny shapes, by the host's clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ohlora_fast.benchmarks.gpu import command, head, limits, ombre, pipeline, preprocess, report, student
from ohlora_fast.benchmarks.gpu.case import Case
from ohlora_fast.benchmarks.gpu.clocks import HostTimer
from ohlora_fast.benchmarks.gpu.run import TIME_UP, Effort, run
from ohlora_fast.benchmarks.setting import portraits

from ohlora_fast.student.engines import device_problem

TIMERS = dict.fromkeys(("events", "wall", "cpu"), HostTimer())
BRIEF = Effort(rounds=2, seconds=0.0, turns=2, warm_up=0.0)
NO_GPU = device_problem("cuda") is not None


def measured(cases: list[Case], effort: Effort = BRIEF) -> tuple[bool, list[dict[str, Any]]]:
    """Whether all was timed, and the rows."""
    rows: list[dict[str, Any]] = []
    return run(cases, TIMERS, effort, rows.append, lambda text: None), rows


def results(rows: list[dict[str, Any]], complete: bool = True) -> dict[str, Any]:
    """Results such as `command.measured` gives."""
    machine = {"processor": "some", "cores": 2}
    return {
        "date": "2026-11-25", "machine": machine, "versions": {"torch": torch.__version__}, "complete": complete,
        "device": {"name": "none"}, "rows": rows,
    }  # fmt: skip


def same_outputs(cases: list[Case], difference: float) -> dict[str, Any]:
    """Build and call every provider that runs here; hold all outputs to the last one's. Returns them by provider."""
    outputs = {case.provider: torch.as_tensor(case.make()()) for case in cases if case.problem() is None}
    last = list(outputs.values())[-1].double()
    for provider, output in outputs.items():
        assert output.shape == last.shape, provider
        assert (output.double() - last).abs().max() <= difference, provider
    return outputs


@pytest.mark.parametrize("layout", ombre.LAYOUTS)
@pytest.mark.parametrize("mask", ombre.MASKS)
def test_providers_of_the_ombre_dye_alike(layout: str, mask: str) -> None:
    cases = list(ombre.one_case("cpu", 2, 33, layout, mask))
    problems = {case.provider: case.problem() for case in cases}
    assert problems["torch, eager"] is None
    others = ("copy", "torch, compiled", "cpp, on the CPU", "numpy, on the CPU")
    outputs = same_outputs([case for case in cases if case.provider not in others], difference=1)
    if "triton" in outputs:
        assert "triton, in place" in outputs
    eager = outputs["torch, eager"]
    for case in cases:
        if case.clock == "cpu":
            dyed = torch.from_numpy(case.make()()).permute(0, 3, 1, 2)
            assert (dyed.int() - eager.int()).abs().max() <= 1
    copied = next(case for case in cases if case.provider == "copy").make()()
    assert not torch.equal(copied, eager)
    assert copied.stride(1) == (1 if layout == "NHWC" else 33 * 33)


def test_refined_dyeing_in_one_pass_and_in_two_is_alike() -> None:
    cases = [case for case in ombre.refined_case("cpu", 1, 33) if case.provider != "copy"]
    if problem := cases[0].problem():
        pytest.skip(problem)
    # The two passes take the gradient of the refined map.
    outputs = same_outputs(cases, difference=16)
    assert list(outputs) == ["triton, in one pass", "triton, refined and then dyed"]


def test_providers_of_preprocessing_agree() -> None:
    cases = list(preprocess.one_case("cpu", 1, 250, "NHWC"))
    # Pillow rounds to bytes twice.
    outputs = same_outputs([case for case in cases if case.provider != "torch, compiled"], difference=2)
    assert len(outputs) >= 2
    assert outputs["torch, eager"].shape == (1, 3, 224, 224)


@pytest.mark.parametrize("name", student.STUDENTS)
def test_forms_of_the_head_agree(name: str) -> None:
    model, features = head.inputs("cpu", name, 1, "float32")
    with torch.no_grad():
        rewritten, training = head.eager(model, features)(), head.training_form(model, features)()
    assert rewritten.shape == (1, 1, 224, 224)
    assert (rewritten - training).abs().max() < 1e-4
    assert rewritten.std() > 0


def test_providers_of_the_student_that_need_no_gpu_run() -> None:
    cases = [case for case in student.cases("cpu", batches=[2]) if case.problem() is None]
    assert [case.provider for case in cases] == [student.TORCH, student.REFERENCE]
    for case in cases:
        assert case.make()().shape == (2, 224, 224)
    host = next(case for case in student.latency_cases("cpu") if "host" in case.name and case.provider == student.TORCH)
    assert host.make()().shape == (1, 224, 224)


def test_the_pipeline_dyes_a_portrait() -> None:
    pytest.importorskip("skimage")
    cases = [case for case in pipeline.one_case("cpu", 1, 64) if case.problem() is None]
    assert {case.name for case in cases} == {"1 × 64², device memory", "1 × 64², host memory"}
    before = torch.from_numpy(portraits(1, 64))
    for case in cases:
        dyed = torch.as_tensor(case.make()())
        if "device" in case.name:
            dyed = dyed.permute(0, 2, 3, 1)
        changed = (dyed != before).any(-1).float().mean()
        assert 0.02 < changed < 0.6  # hair, and not all of the picture


def test_limits_and_fractions_from_real_runs() -> None:
    cases = list(limits.cases("cpu", copied=2**16, side=32))
    assert {case.name for case in cases} == set(limits.UNITS)
    dyeing = {case.provider: case for case in ombre.one_case("cpu", 1, 40, "NHWC", "head")}
    cases += [dyeing["copy"], dyeing["torch, eager"]]
    complete, rows = measured(cases)
    assert complete
    assert all(row["rounds"] == 2 and 0 < row["fastest_s"] <= row["median_s"] for row in rows)
    eager, rates = rows[-1], {row["case"]: row["work"][row["case"]] / row["median_s"] for row in rows[:6]}
    seconds = {name: eager["work"][name] / rates[name] for name in ("memory", "fp32")}
    assert eager["limit"] == max(seconds, key=seconds.__getitem__)
    assert eager["fraction"] == pytest.approx(max(seconds.values()) / eager["median_s"])
    text = report.as_text(json.loads(json.dumps(results(rows))))
    assert "| memory | copy_ |" in text
    assert "| 1 × 40², NHWC, head | torch, eager |" in text
    copied = rows[-2]["median_s"] / eager["median_s"]
    assert f"| {100 * copied:.0f} % |" in text


def tiny(provider: str, make: Callable[[], Callable[[], Any]], **options: Any) -> Case:
    return Case("ombre", "tiny", provider, make, **options)


def test_a_provider_that_fails_stops_no_other() -> None:
    def unbuilt() -> Any:
        raise OSError("no such thing\nand a long story")

    def fails_when_called() -> Any:
        return lambda: torch.zeros(2) @ torch.zeros(3)

    x = torch.ones(1000)
    complete, rows = measured([
        tiny("sound", lambda: x.sum),
        tiny("unbuilt", unbuilt),
        tiny("failing", fails_when_called),
        tiny("elsewhere", unbuilt, problem=lambda: "no such machine"),
        tiny("sound too", lambda: x.max),
    ])  # fmt: skip
    assert complete
    by_provider = {row["provider"]: row for row in rows}
    assert by_provider["unbuilt"]["error"] == "OSError: no such thing"
    assert by_provider["failing"]["error"].startswith("RuntimeError: ")
    assert by_provider["elsewhere"]["skipped"] == "no such machine"
    assert by_provider["sound"]["median_s"] > 0
    assert by_provider["sound too"]["median_s"] > 0
    text = report.group_table("ombre", rows)
    assert "ombre, tiny: unbuilt: OSError: no such thing" in text
    assert "ombre, tiny: elsewhere: no such machine" in text
    assert report.group_table("ombre", rows[1:4]).count("\n") == 2


def test_providers_take_turns() -> None:
    called: list[str] = []
    effort = Effort(rounds=6, seconds=0.0, turns=3, warm_up=0.0)
    measured([tiny(name, lambda name=name: lambda: called.append(name)) for name in "ab"], effort)  # type: ignore[misc]
    assert "".join(called[-12:]) == "aabbaabbaabb"


def test_ctrl_c_keeps_what_was_measured() -> None:
    x = torch.ones(10)

    def interrupted() -> Any:
        return lambda: os.kill(os.getpid(), signal.SIGINT)

    stopped = Case("head", "tiny", "interrupted", interrupted)
    complete, rows = measured([tiny("sound", lambda: x.sum), stopped, tiny("later", lambda: x.sum)])
    assert not complete
    assert [row["provider"] for row in rows] == ["sound"]
    assert "Not complete" in report.as_text(results(rows, complete=False))


def test_nothing_begins_once_the_time_is_up() -> None:
    x = torch.ones(10)
    rows: list[dict[str, Any]] = []

    def slow() -> Any:
        time.sleep(0.3)
        return x.sum

    cases = [tiny("sound", slow), tiny("late", slow), tiny("elsewhere", slow, problem=lambda: "no such machine")]
    assert not run(cases, TIMERS, BRIEF, rows.append, lambda text: None, seconds=0.2)
    assert rows[0]["median_s"] > 0
    assert [row["skipped"] for row in rows[1:]] == [TIME_UP, "no such machine"]
    assert f"ombre, tiny: late: {TIME_UP}" in report.as_text(results(rows, complete=False))


def test_what_is_killed_leaves_what_was_measured(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from ohlora_fast.benchmarks.gpu import command
        from ohlora_fast.benchmarks.gpu.case import Case
        from ohlora_fast.benchmarks.gpu.clocks import HostTimer
        from ohlora_fast.benchmarks.gpu.run import QUICK

        command.gpu_timers = lambda: {"events": HostTimer()}
        command.device = lambda: {"name": "none"}
        killed = lambda: os.kill(os.getpid(), signal.SIGKILL)
        cases = [Case("head", "first", "sound", lambda: lambda: 1), Case("head", "second", "killed", lambda: killed)]
        command.measured(cases, QUICK, sys.argv[1])
    """
    path = tmp_path / "results.json"
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    kept = json.loads(path.read_text())
    assert not kept["complete"]
    assert [row["case"] for row in kept["rows"]] == ["first"]


def test_cases_are_chosen_by_what_their_titles_hold() -> None:
    titles = [case.title for case in command.chosen(["preprocess", "ombre"], r"64 × 1024², NCHW.*: (triton|copy)$")]
    assert titles[6:] == [
        "preprocess, 64 × 1024², NCHW: triton",
        "ombre, 64 × 1024², NCHW, all hair: copy",
        "ombre, 64 × 1024², NCHW, all hair: triton",
        "ombre, 64 × 1024², NCHW, head: copy",
        "ombre, 64 × 1024², NCHW, head: triton",
        "ombre, 64 × 1024², NCHW, head, refined: copy",
    ]


def test_results_are_written_whole_and_say_whether_they_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    _, rows = measured([tiny("sound", lambda: torch.ones(10).sum)])
    command.write(results(rows, complete=False), str(path))
    command.write(results(rows), str(path))
    assert json.loads(path.read_text()) == results(rows)
    assert list(tmp_path.iterdir()) == [path]


def row(group: str, case: str, provider: str, seconds: float, images: int) -> dict[str, Any]:
    return {"group": group, "case": case, "provider": provider, "median_s": seconds, "images": images, "work": {}}


def test_verdicts_compare_with_the_aims() -> None:
    case = ombre.case_name(64, 1024, "NCHW", "head")
    rows = [
        row("ombre", case, "copy", 90e-6, 64),
        row("ombre", case, "triton", 100e-6, 64),
        row("ombre", case, "cuda", 120e-6, 64),
        row("latency", "1 photo in device memory", "CudaEngine float16", 0.9e-3, 1),
        row("pipeline", "256 × 256², device memory", "HairStylist.dye", 256 / 14_000, 256),
    ]
    assert list(report.verdicts(rows)) == [
        f"ombre, {case}, triton: 90 % of the copy's speed, aim 85 %: reached",
        f"ombre, {case}, cuda: 75 % of the copy's speed, aim 85 %: MISSED",
        "latency, 1 photo in device memory, CudaEngine float16: 900 µs, aim at most 1.00 ms: reached",
        "pipeline, 256 × 256², device memory, HairStylist.dye: 14,000 images/s, aim 15,000 images/s: MISSED",
    ]


def test_the_aims_are_about_cases_that_exist() -> None:
    names = {(case.group, case.name) for case in command.chosen(None)}
    assert ("ombre", ombre.case_name(64, 1024, "NCHW", "head")) in names
    assert ("latency", "1 photo in device memory") in names
    assert ("pipeline", "256 × 256², device memory") in names


def test_cases_of_a_comparison_follow_each_other_and_differ() -> None:
    cases = command.chosen(None)
    keys = [(case.group, case.name, case.provider) for case in cases]
    assert len(keys) == len(set(keys))
    comparisons = [key[:2] for key in keys]
    starts = [one for one, before in zip(comparisons, [None, *comparisons], strict=False) if one != before]
    assert len(starts) == len(set(starts))
    assert all(set(case.work) <= set(limits.UNITS) for case in cases)


def gpu_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ohlora_fast.benchmarks.gpu", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_dry_run_lists_everything_and_why_not(tmp_path: Path) -> None:
    done = gpu_command("--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for group in ("limits", *command.GROUPS):
        assert f"| {group} | " in done.stdout
    reason = device_problem("cuda")
    assert f"| ombre | {ombre.case_name(1, 1024, 'NHWC', 'head')} | triton | {reason} |" in done.stdout
    assert f"| ombre | {ombre.case_name(1, 1024, 'NHWC', 'head')} | cpp, on the CPU | runs |" in done.stdout


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_a_gpu_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = gpu_command("--only", "latency", "-o", "x.json", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"ohlora-fast: error: the GPU benchmarks do not run here: {device_problem('cuda')}; --dry-run lists them"
    ]
    assert not list(tmp_path.iterdir())

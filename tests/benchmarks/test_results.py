"""The CPU benchmarks' results: tables, bars, comparison, charts. No time decides about a test."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ohlora_fast.benchmarks import (
    bars,
    bench_memory,
    bench_ombre,
    bench_scaling,
    bench_sets,
    bench_student,
    bench_stylegan,
    bench_teacher,
    compare,
    report,
    run,
)
from ohlora_fast.benchmarks.chart import charts
from ohlora_fast.benchmarks.result_file import read_results

from ohlora_fast.cli import main


def seconds(**medians: float) -> dict[str, Any]:
    return {name: {"median_s": median, "rounds": 3} for name, median in medians.items()}


def results(groups: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Results such as `run_questions` gives."""
    machine = {"processor": "some", "cores": 2, "system": "Linux"}
    return {
        "date": "2026-11-25T00:00:00+00:00", "machine": machine, "versions": {"numpy": "2.4.6"}, "threads": 2,
        "quick": False, "groups": groups, "skipped": {}, "failed": {},
    } | others  # fmt: skip


def met_exactly() -> dict[str, Any]:
    """Groups that meet every bar, and none with anything to spare."""
    groups: dict[str, Any] = {}
    for bar in bars.BARS:
        name = f"{bar.groups}1024, head" if bar.groups == bars.FULL_SIZE else bar.groups
        sides = groups.setdefault(name, {})
        if bar.over is None:
            sides[bar.of] = {"median_s": bar.limit}
        elif bar.over in sides:
            sides[bar.of] = {"median_s": bar.limit * sides[bar.over]["median_s"]}
        elif bar.of in sides:
            sides[bar.over] = {"median_s": sides[bar.of]["median_s"] / bar.limit}
        else:
            sides[bar.over], sides[bar.of] = {"median_s": 1.0}, {"median_s": bar.limit}
    return groups


# Tables


def test_a_table_has_a_row_a_provider_also_where_some_cases_lack_it() -> None:
    groups = {"ombre, small": seconds(cpp=0.001, numpy=0.01), "ombre, large": seconds(numpy=1.5, torch=3)}
    assert report.tables({"groups": groups}) == {
        "ombre": "| ombre | small | large |\n| --- | ---: | ---: |\n"
        "| cpp | 1.00 ms | – |\n| numpy | 10.0 ms (10.0×) | 1.50 s |\n| torch | – | 3.00 s |"
    }


def test_memory_is_shown_as_multiples_of_the_photo() -> None:
    sides = {"the photo": {"median_bytes": 3 * 2**20}, "dye": {"median_bytes": 9 * 2**20}}
    assert report.tables({"groups": {bench_memory.GROUP: sides}})["memory"].endswith(
        "| the photo | 3.00 MiB |\n| dye | 9.00 MiB (3.00×) |"
    )


def test_the_readme_shows_the_main_tables_and_another_document_the_others() -> None:
    groups = {"start, fresh process": seconds(a=1), "ombre, small": seconds(cpp=1), "student, one": seconds(default=1)}
    main_text, others = report.as_text(results(groups), report.MAIN), report.other_tables(results(groups))
    assert main_text.index("| student |") < main_text.index("| ombre |")
    assert "| start |" not in main_text
    assert others.startswith("| start | fresh process |")
    assert "ombre" not in others


def test_the_caption_says_on_what_it_was_measured() -> None:
    machine = {"processor": "some", "instructions": "avx2", "cores": 2, "system": "Linux"}
    assert report.caption(results({}, machine=machine)) == "2026-11-25, some, avx2, 2 cores, 2 threads; numpy 2.4.6."
    assert report.caption(results({})) == "2026-11-25, some, 2 cores, 2 threads; numpy 2.4.6."


# Bars


def test_bars_are_about_providers_that_exist() -> None:
    names = {
        bench_memory.GROUP: "memory",
        bars.FULL_SIZE: "ombre",
        bench_teacher.GROUP: "teacher",
        bench_sets.GROUP: "sets",
        bench_stylegan.GROUP: "stylegan",
    }
    for bar in bars.BARS:
        question = names.get(bar.groups, bar.groups.split(",")[0])
        providers = import_module(f"ohlora_fast.benchmarks.bench_{question}").PROVIDERS
        assert bar.of in providers
        assert bar.over is None or bar.over in providers
    assert bench_ombre.group(1024, "head").startswith(bars.FULL_SIZE)
    assert not bench_ombre.group(256, "head").startswith(bars.FULL_SIZE)


@pytest.mark.parametrize("bar", bars.BARS, ids=lambda bar: bar.what)
def test_each_bar_is_met_at_its_limit_and_missed_beyond_it(bar: bars.Bar) -> None:
    value = bar.value({"groups": met_exactly()})
    assert value == pytest.approx(bar.limit)
    assert bar.met(bar.limit)
    assert not bar.met(bar.limit * (1.01 if bar.kind == "at most" else 0.99))
    assert bar.line({"groups": {}}).startswith("not measured: ")


def test_the_worst_case_counts() -> None:
    bar = next(bar for bar in bars.BARS if bar.over == "cpp" and bar.of == "recorded")
    groups = {
        bench_ombre.group(1024, "all hair"): seconds(cpp=1, recorded=90),
        bench_ombre.group(1024, "head"): seconds(cpp=1, recorded=120),
        bench_ombre.group(256, "head"): seconds(cpp=1, recorded=20),
    }
    assert bar.line({"groups": groups}) == f"MISSED: {bar.what}: 90×, at least 100×"
    slow = bars.Bar("time", "a, ", "x", None, "at most", 2)
    assert slow.line({"groups": {"a, 1": seconds(x=1), "a, 2": seconds(x=3)}}) == "MISSED: time: 3 s, at most 2 s"


# Comparison


def test_what_got_slower_by_more_than_the_tolerance_is_flagged() -> None:
    old = results({"a, b": seconds(same=1, faster=2, within=1, beyond=1, gone=1), "old": seconds(x=1)})
    new = results({"a, b": seconds(same=1, faster=1, within=1.09, beyond=1.11, came=1)})
    text, slower = compare.comparison(old, new, 0.1)
    assert [change.provider for change in slower] == ["beyond"]
    assert "| a, b | faster | 2.00 s | 1.00 s | 0.50× |" in text
    assert "| a, b | within | 1.00 s | 1.09 s | 1.09× |" in text
    assert "| a, b | beyond | 1.00 s | 1.11 s | 1.11× SLOWER |" in text
    assert text.splitlines()[-3:] == [
        "in the old results alone: a, b: gone",
        "in the old results alone: old",
        "in the new results alone: a, b: came",
    ]


def test_other_machines_versions_and_settings_are_named() -> None:
    old = results({}, threads=1)
    new = results({}, machine=old["machine"] | {"processor": "another", "gpu": "one"}, versions={"numpy": "3"})
    assert compare.differences(old, new) == [
        "processor: some, now another", "numpy: 2.4.6, now 3", "threads: 1, now 2", "gpu: none, now one",
    ]  # fmt: skip
    assert compare.differences(old, old) == []


def written(folder: Path, name: str, groups: dict[str, Any], **others: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(results(groups, **others)), encoding="utf-8")
    return str(path)


def test_comparing_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = written(tmp_path, "old.json", {"a, b": seconds(x=1)}, threads=1)
    new = written(tmp_path, "new.json", {"a, b": seconds(x=1.15)})
    assert main(["benchmark", "--compare", old, new]) == 1
    captured = capsys.readouterr()
    assert "1.15× SLOWER" in captured.out
    assert captured.err.splitlines() == [
        "ohlora-fast: warning: the results differ in threads: 1, now 2",
        "ohlora-fast: error: 1 got slower by more than 10 %",
    ]
    assert main(["benchmark", "--compare", old, new, "--tolerance", "20"]) == 0
    assert "SLOWER" not in capsys.readouterr().out


def test_comparing_with_what_is_measured_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measured(*arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return results({"a, b": seconds(x=2)})

    monkeypatch.setattr(run, "run_questions", measured)
    old = written(tmp_path, "old.json", {"a, b": seconds(x=1)})
    out = tmp_path / "new.json"
    assert main(["benchmark", "--quick", "--threads", "1", "--compare", old, "-o", str(out)]) == 1
    assert asked[0][:2] == (run.QUICK_QUESTIONS, 1)
    assert asked[0][3:] == (1, True)
    assert "2.00× SLOWER" in capsys.readouterr().out
    assert read_results(out)["groups"] == {"a, b": seconds(x=2)}
    assert main(["benchmark", "start"]) == 0
    assert asked[1][:2] == (["start"], 3)


def test_a_failed_provider_gives_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = results({"a, b": seconds(x=2)}, failed={"a": {"y": "pytest failed"}})
    monkeypatch.setattr(run, "run_questions", lambda *arguments: failed)
    assert main(["benchmark"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "gone.json"], "gone.json: cannot be read: No such file"),
        (["--compare", "text.json"], "text.json: got something else, allowed are results of"),
        (["--compare", "other.json"], "other.json: got something else, allowed are results of"),
        (["--compare", "a", "b", "c"], "--compare: got 3 files, allowed are OLD.json and NEW.json"),
        (["start", "--compare", "old.json", "old.json"], "with two files nothing is measured, but start came too"),
        (["--charts", "gone"], "--charts: gone: no such folder"),
        (["melon"], "benchmark: got 'melon', allowed are dye"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = Path.cwd()  # an empty folder, see conftest.py
    written(here, "old.json", {})
    (here / "text.json").write_text("no results")
    (here / "other.json").write_text('{"rows": []}')
    assert main(["benchmark", *arguments]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


# Charts


def scaling() -> dict[str, Any]:
    sizes = {f"{bench_scaling.BY_SIZE}, {n}": seconds(cpp=n * 1e-6, copy=n * 1e-7) for n in bench_scaling.SIZES}
    batches = {
        f"{bench_scaling.BY_BATCH}, {n}": {bench_student.DEFAULT: {"median_s": 0.01 * n}} for n in bench_scaling.BATCHES
    }
    return sizes | batches


def test_charts_are_those_that_results_allow(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    teacher = {f"{bench_teacher.GROUP}, cpu, 1 image": {bench_teacher.BUNDLED: {"median_s": 0.01}}}
    assert list(charts({"groups": {}})) == []
    assert list(charts({"groups": teacher})) == ["teacher"]
    drawn = charts({"groups": teacher | scaling()})
    assert drawn == charts({"groups": teacher | scaling()})
    assert "bundled student, as installed: 0.01 s" in drawn["teacher"].decode()
    lines = drawn["scaling"].decode()
    assert "cpp: 0.256 ms at 256, 0.512 ms at 512" in lines
    assert "default, as installed: 10 ms at 1, 10 ms at 2" in lines
    assert [word in lines for word in (">4096<", ">32<", ">copy<", ">ms a photo<")] == [True] * 4

    new = written(tmp_path, "new.json", teacher | scaling())
    assert main(["benchmark", "--compare", new, new, "--charts", str(tmp_path)]) == 0
    assert (tmp_path / "scaling.svg").read_bytes() == drawn["scaling"]

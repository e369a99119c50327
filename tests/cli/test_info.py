"""What was built, what runs here and why not."""

from __future__ import annotations

import json
import sys

import pytest

from ohlora_fast.cli import main
from ohlora_fast.cli.info import as_text, ask, gather, version
from ohlora_fast.runtime import usable_cores


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["packages"]) == {"numpy", "torch", "triton", "onnxruntime", "opencv", "pillow"}
    assert {"numpy", "cpp", "torch"} <= set(facts["backends"])
    assert facts["backends"]["numpy"] is None
    assert facts["engines"]["torch"] is None
    assert facts["devices"]["cpu"] is None
    assert "compiler" in facts["built"]
    assert set(facts["cuda"]) in ({"nvcc", "architectures"}, {"missing"})
    assert 1 <= facts["cores"]["usable"] <= facts["cores"]["machine"]
    assert facts["cores"]["usable"] == usable_cores()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for title in ("Packages", "Built", "CUDA kernels", "Ombre backends", "Student engines", "Devices"):
        assert f"\n{title}\n" in text
    assert "  numpy           runs\n" in text


def test_what_does_not_run_is_given_with_its_reason() -> None:
    facts = gather() | {"backends": {"cuda": "no GPU"}, "engines": {"error": "broken"}, "built": {"error": "gone"}}
    text = as_text(facts)
    assert "  cuda            no: no GPU\n" in text
    assert "  error           broken\n" in text
    assert "  error           gone\n" in text


def test_engines_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ohlora_fast.student.engines", None)
    facts = gather()
    for part in ("engines", "devices"):
        assert "ohlora_fast.student.engines" in facts[part]["error"]
    assert f"\ncores: {usable_cores()} usable of {facts['cores']['machine']}\n" in as_text(facts)


def test_what_is_missing_is_named() -> None:
    assert version("no_such_module") == "not usable: No module named 'no_such_module'"
    assert ask("no_such_module", "f") == {"error": "No module named 'no_such_module'"}
    assert ask("math", "sqrt") == {"error": "math.sqrt() takes exactly one argument (0 given)"}

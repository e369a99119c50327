"""Reports of other packages to their makers: off in every process, and on where somebody asks for them."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ohlora_fast.telemetry import SETTINGS

ROOT = Path(__file__).parent.parent
REPORTERS = {"onnxruntime", "openvino", "albumentations"}
"""Those that report while they are imported."""
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


def imports(source: str) -> list[str]:
    """The top-level packages that a piece of code imports, in the order of its lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.lineno, node.module.split(".")[0]))
    return [name for _, name in sorted(found)]


def environment(home: Path, **settings: str) -> dict[str, str]:
    """This process's environment with another home and none of the settings, on which CI machines may insist."""
    left_out = {*SETTINGS, "CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept | {"HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1"} | settings


def files_in(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_onnx_runtime_and_openvino_are_imported_in_one_place():
    around = {
        str(path.relative_to(ROOT))
        for folder in ("ohlora_fast", "benchmarks", "kernels", "examples", ".ci")
        for path in (ROOT / folder).rglob("*.py")
        if {"onnxruntime", "openvino"}.intersection(imports(path.read_text("utf-8")))
    }
    # quantize.py takes a part of ONNX Runtime, after `onnx_runtime`.
    assert around == {
        str(Path("ohlora_fast", "telemetry.py")), str(Path("ohlora_fast", "student", "quantize.py"))
    }  # fmt: skip


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_import_this_package_before_those_that_report(path):
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        names = imports(block)
        first = next((index for index, name in enumerate(names) if name in REPORTERS), None)
        assert first is None or "ohlora_fast" in names[:first], block


def test_what_somebody_has_set_stays():
    code = "import os, ohlora_fast; print(*(os.environ[name] for name in sorted(ohlora_fast.telemetry.SETTINGS)))"
    chosen = {name: f"my-{index}" for index, name in enumerate(sorted(SETTINGS))}
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    for given, expected in ((chosen, chosen), ({}, SETTINGS)):
        done = subprocess.run([sys.executable, "-c", code], env=kept | given, capture_output=True, text=True)
        assert done.stdout.split() == [expected[name] for name in sorted(SETTINGS)], done.stderr


SEGMENT = """
import multiprocessing, sys
import numpy as np
from ohlora_fast import HairStylist

def segment(size):
    return HairStylist().segment(np.zeros((size, size, 3), np.uint8)).shape

if __name__ == "__main__":
    print(segment(40))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(segment, [50]))
"""


def test_a_fresh_home_stays_empty_and_no_name_is_looked_up(tmp_path):
    home, log, script = tmp_path / "home", tmp_path / "calls", tmp_path / "segment.py"
    home.mkdir()
    script.write_text(SEGMENT)
    tracer = [] if shutil.which("strace") is None else ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", log]
    done = subprocess.run(
        [*tracer, sys.executable, script], env=environment(home), capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split("\n")[:2] == ["(40, 40)", "[(50, 50)]"], done.stderr
    assert files_in(home) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "calls") == ["home", "segment.py"]
    calls = log.read_text().splitlines() if tracer else []
    assert [call for call in calls if "AF_INET" in call and "127.0.0.1" not in call and '"::1"' not in call] == []


@pytest.mark.skipif(
    sys.platform == "win32" or tuple(map(int, version("onnxruntime").split(".")[:2])) < (1, 29),
    reason="this ONNX Runtime reports nothing",
)
@pytest.mark.parametrize(("value", "reports"), [("0", True), ("1", False), ("true", False), (None, False)])
def test_onnx_runtime_reports_where_it_is_asked_to(tmp_path, value, reports):
    given = {} if value is None else {"ORT_DISABLE_TELEMETRY": value}
    code = "from ohlora_fast.telemetry import onnx_runtime; onnx_runtime()"
    subprocess.run([sys.executable, "-c", code], env=environment(tmp_path, **given), check=True)
    assert any("deviceid" in name for name in files_in(tmp_path)) == reports


def test_openvino_does_not_report_its_import(tmp_path):
    pytest.importorskip("openvino")
    code = """
import sys
from ohlora_fast.telemetry import open_vino
print(open_vino().Core().available_devices)
print("openvino_telemetry" in sys.modules)
import openvino_telemetry
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["['CPU']", "False"], done.stderr
    assert files_in(tmp_path) == []

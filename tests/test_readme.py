"""What the documents say is what was measured, and what they point to exists."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("ohlora_fast/**/*.md")])


def readme_tool(verb, root):
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme.py", verb, root], capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied(tmp_path):
    """A copy of the documents, their charts and the results."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "benchmarks" / "results", tmp_path / "benchmarks" / "results")
    return tmp_path


def test_speed_in_the_documents_is_made_from_the_committed_results():
    done = readme_tool("check-speed", ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("file", ["README.md", "docs/images/teacher.svg"])
def test_a_changed_number_is_found_and_mended(copied, file):
    path = copied / file
    before = path.read_text(encoding="utf-8")
    changed, count = re.subn(r"(\bteacher, kept loaded\D*)\d", r"\g<1>7", before)
    assert count
    path.write_text(changed, encoding="utf-8")
    done = readme_tool("check-speed", copied)
    assert done.returncode == 1
    assert file in done.stderr
    assert "but the results give" in done.stderr
    assert readme_tool("speed", copied).returncode == 0
    assert readme_tool("check-speed", copied).returncode == 0
    assert path.read_text(encoding="utf-8") != changed


def test_a_lost_chart_is_found(copied):
    (copied / "docs" / "images" / "teacher.svg").unlink()
    done = readme_tool("check-speed", copied)
    assert done.returncode == 1
    assert "teacher.svg: holds 'nothing'" in done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing

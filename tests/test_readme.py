"""What the documents say is what was measured, and what they point to exists."""

import json
import re
from pathlib import Path

import pytest
from ohlora_fast.benchmarks.run import as_markdown, caption

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ohlora_fast/**/*.md")])


def test_speed_table_is_made_from_the_committed_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- speed: (\S+) -->\n(.*?)\n<!-- /speed -->", readme, re.DOTALL)
    assert found
    results = json.loads((ROOT / found[1]).read_text(encoding="utf-8"))
    assert found[2] == f"{as_markdown(results)}\n\n{caption(results)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing

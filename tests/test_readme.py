"""What the documents say is what was measured, and what they point to exists."""

import json
import re
from pathlib import Path

import pytest
from ohlora_fast.benchmarks.chart import draw
from ohlora_fast.benchmarks.run import as_text

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ohlora_fast/**/*.md")])


def test_speed_table_is_made_from_the_committed_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- speed: (\S+) -->\n(.*?)\n<!-- /speed -->", readme, re.DOTALL)
    assert found
    results = json.loads((ROOT / found[1]).read_text(encoding="utf-8"))
    assert found[2] == as_text(results)


def test_chart_is_drawn_from_the_same_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- speed: (\S+) -->", readme)
    assert found
    drawn = draw(json.loads((ROOT / found[1]).read_text(encoding="utf-8")))
    chart = (ROOT / "docs" / "images" / "teacher.svg").read_text(encoding="utf-8")
    texts = [re.findall(r"<text[^>]*>([^<]*)</text>", svg) for svg in (drawn.decode(), chart)]
    assert texts[0] == texts[1]
    assert "limit 0.05 s" in texts[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing

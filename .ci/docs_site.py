"""For MkDocs: documents outside docs/ become pages too, links lead to pages, and docstrings are made Markdown."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "ohlora_fast/student/bundled/MODEL_CARD.md": "model-card.md",
    "ohlora_fast/heads/bundled/MODEL_CARD.md": "model-card-heads.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
EXAMPLE = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)
ROLE = re.compile(r":(?:func|class|mod):`~?([^`]+)`")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents outside docs/."""
    root = Path(config.config_file_path).parent
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(root / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links between pages; of a file that is none, the text stays."""
    source = SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(found: re.Match[str]) -> str:
        image, text, link, anchor = found.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        uri = PAGES.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if uri is None:
            return text
        here = posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")
        return f"{image}[{text}]({here}{anchor})"

    return LINK.sub(turned, markdown)


class Docstrings(griffe.Extension):
    """Examples, which begin with `>>>` and end with an empty line, become blocks of code, and roles of Sphinx code."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            plain = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1```pycon\n\g<0>\n\1```", plain)

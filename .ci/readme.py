"""Run what the README and the guide tell people to type, so that it stays true.

    readme.py commands ROOT WORK    set-up with the demo, then every other block, and those of some guides, in WORK
    readme.py test ROOT             set-up with the tests
    readme.py tutorials ROOT WORK   every block of the tutorials and of the web page's guide, in WORK
    readme.py speed ROOT            write tables and charts of speed anew, from the results that their markers name
    readme.py check-speed ROOT      fail if these tables or charts are not those of the results

Blocks run in the order they stand in, those that begin with `pip install` in ROOT.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

DOCUMENTS = ("README.md", "docs/performance.md")
TUTORIALS = ("tutorials/one-photo", "tutorials/folder", "tutorials/train", "tutorials/ops", "web")
IMAGES = Path("docs/images")
SETUP = "pip install -c constraints.txt"


def blocks(document: Path) -> list[tuple[str, str]]:
    """The (language, text) of each fenced block of the languages that run."""
    fenced = re.findall(
        r"^```(bash|python)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if not fenced:
        sys.exit(f"{document}: no bash or python blocks found")
    return fenced


def run(language: str, text: str, folder: Path) -> None:
    """Run one block, and stop if it fails."""
    print(f"-- {language} in {folder}:\n{text}", flush=True)
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
    if code := subprocess.run(command, cwd=folder, check=False).returncode:
        sys.exit(f"this block failed with exit code {code}")


def made_from_results(root: Path) -> dict[Path, bytes]:
    """What `DOCUMENTS` and the charts should hold.

    In a document, `<!-- speed: FILE -->` begins the main tables of a file of results, with the bars, and
    `<!-- tables: FILE -->` the other tables; `<!-- /speed -->` and `<!-- /tables -->` end them. The charts are the
    README's results'.
    """
    from ohlora_fast.benchmarks.chart import charts
    from ohlora_fast.benchmarks.report import MAIN, as_text, other_tables
    from ohlora_fast.benchmarks.result_file import read_results

    def block(found: re.Match[str]) -> str:
        results = read_results(root / found["file"])
        text = as_text(results, MAIN) if found["kind"] == "speed" else other_tables(results)
        return f"<!-- {found['kind']}: {found['file']} -->\n{text}\n<!-- /{found['kind']} -->"

    marked = re.compile(r"<!-- (?P<kind>speed|tables): (?P<file>\S+) -->.*?<!-- /(?P=kind) -->", re.DOTALL)
    texts = {name: (root / name).read_text(encoding="utf-8") for name in DOCUMENTS}
    made = {root / name: marked.sub(block, text).encode() for name, text in texts.items()}
    found = marked.search(texts["README.md"])
    if found is None:
        sys.exit("README.md: no <!-- speed: FILE --> found")
    drawn = charts(read_results(root / found["file"]))
    return made | {root / IMAGES / f"{name}.svg": content for name, content in drawn.items()}


def words(content: bytes) -> list[str]:
    """A document's lines; of a chart its words, since other versions of matplotlib place them a little differently."""
    text = content.decode()
    said = re.findall(r"<(?:text|dc:description)[^>]*>([^<]*)<", text)
    return said if text.startswith("<?xml") else text.splitlines()


def check_speed(root: Path) -> None:
    """Stop, naming the file and the first difference, if one does not hold what the results give."""
    for path, content in made_from_results(root).items():
        now = words(path.read_bytes()) if path.is_file() else []
        for line, wanted in zip_longest(now, words(content), fillvalue="nothing"):
            if line != wanted:
                sys.exit(f"{path}: holds {line!r}, but the results give {wanted!r}: run .ci/readme.py speed {root}")


def main(what: str, root: Path, work: Path | None = None) -> None:
    if what == "speed":
        for path, content in made_from_results(root).items():
            path.write_bytes(content)
        return
    if what == "check-speed":
        check_speed(root)
        return
    if what == "tutorials":
        assert work is not None
        work.mkdir(parents=True)
        for name in TUTORIALS:
            for language, text in blocks(root / "docs" / f"{name}.md"):
                run(language, text, work)
        return
    found = blocks(root / "README.md")
    setups = [text for language, text in found if language == "bash" and text.startswith(SETUP)]
    demo, test = [next(text for text in setups if f".[{extra}]" in text) for extra in ("demo", "test")]
    if what == "test":
        run("bash", test, root)
        return
    assert work is not None
    work.mkdir(parents=True)
    install, _, command = demo.partition(" && ")
    run("bash", install, root)
    run("bash", command, work)
    names = ("guide", "natural", "sets", "animate", "video", "export")
    guides = [block for name in names for block in blocks(root / "docs" / f"{name}.md")]
    for language, text in [*found, *guides]:
        if text not in setups:
            run(language, text, root if text.startswith(SETUP) else work)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))

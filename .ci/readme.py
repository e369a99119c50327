"""Run what the README and the guide tell people to type, so that it stays true.

    readme.py commands ROOT WORK    set-up with the demo, then every other block, and those of docs/guide.md, in WORK
    readme.py test ROOT             set-up with the tests
    readme.py speed ROOT            write the speed tables and the chart anew, from the results that their marker names

Blocks run in the order they stand in, those that begin with `pip install` in ROOT.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

CHART = "docs/images/teacher.svg"
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
        sys.exit(f"this block of the README failed with exit code {code}")


def fill_speed(readme: Path) -> None:
    """Put the tables of the results named in `<!-- speed: FILE -->` between that marker and its end; draw the chart."""
    from ohlora_fast.benchmarks.chart import draw
    from ohlora_fast.benchmarks.run import as_text

    def tables(found: re.Match[str]) -> str:
        results = json.loads((readme.parent / found[1]).read_text(encoding="utf-8"))
        (readme.parent / CHART).write_bytes(draw(results))
        return f"<!-- speed: {found[1]} -->\n{as_text(results)}\n<!-- /speed -->"

    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"<!-- speed: (\S+) -->.*?<!-- /speed -->", tables, text, flags=re.DOTALL), "utf-8")


def main(what: str, root: Path, work: Path | None = None) -> None:
    if what == "speed":
        fill_speed(root / "README.md")
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
    for language, text in [*found, *blocks(root / "docs" / "guide.md")]:
        if text not in setups:
            run(language, text, work)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))

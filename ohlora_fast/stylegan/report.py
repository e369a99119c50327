"""A report on a fine-tuning run, alone or beside another: curves, tables and what they say."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ohlora_fast.distill.report import STYLE, UNKNOWN, Table, table_html, table_markdown
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.images import read_photo
from ohlora_fast.media.sheet import contact_sheet
from ohlora_fast.stylegan.comparison import TARGETS, compare, comparison_table, findings, last_row
from ohlora_fast.stylegan.diagrams import comparison_panels, draw, run_panels
from ohlora_fast.stylegan.log import COLUMNS, SCORE, Log

PARTS = 24
"""Curves are smoothed over this part of the longest run, 3 epochs of the recorded 72."""
SHOWN = 4
"""Grids of images in a report."""
MIMES = {"svg": "image/svg+xml", "jpg": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        name: of its files.
        text: what is seen on it.
        files: suffix → content: an SVG and a PNG of diagrams, or a JPEG.
    """

    name: str
    text: str
    files: Mapping[str, bytes]

    @property
    def file(self) -> str:
        """The file that Markdown shows."""
        return f"{self.name}.{'png' if 'png' in self.files else 'jpg'}"

    @property
    def data(self) -> str:
        """The picture as HTML holds it."""
        suffix = "svg" if "svg" in self.files else "jpg"
        return f"data:{MIMES[suffix]};base64,{base64.b64encode(self.files[suffix]).decode()}"


def write_report(
    folder: str | Path, run: Log, other: Log | None = None, smooth: float | None = None, command: str = "",
    grids: Sequence[Path] = (),
) -> Path:  # fmt: skip
    """Write the report on a run, and how it compares with another one; files of an earlier report are replaced.

    The folder gets ``report.html`` (which holds the pictures itself and needs no other file), ``report.md``,
    ``curves.png`` and ``curves.svg`` of the run, with another run ``comparison.png`` and ``comparison.svg``, and with
    grids ``images.jpg``.

    Args:
        folder: is made if it does not exist.
        run: what `read_log` gave.
        other: the run to compare with.
        smooth: curves are means over so many epochs; by default a 24th of the longer run.
        command: the command that writes this report, to be shown at its end.
        grids: pictures of the run's images by step, as `find_grids` gives them.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: the two runs share a name or have no score or no epoch in common, ``smooth`` is not above 0,
            matplotlib is missing, a grid cannot be read, or the folder cannot be written.
    """
    folder = Path(folder)
    logs = [run] if other is None else [run, other]
    if other is not None and run.name == other.name:
        raise InputError(f"names: both runs are called {run.name}; name them apart (--name, --compare-name)")
    width = max(log.full_epochs[-1] + 1 for log in logs) / PARTS if smooth is None else smooth
    if not 0 < width < math.inf:
        raise InputError(f"smooth: got {width}, allowed are numbers of epochs above 0")
    sentences = development(run)
    tables = [last_epoch_table(log) for log in logs]
    pictures = [Picture("curves", "Losses, AUROC and scores over the epochs", draw(run_panels(run), width))]
    if other is not None:
        differences = compare(run, other)
        panels = comparison_panels(run, other)
        pictures.append(Picture("comparison", "Each score over the epochs, both runs", draw(panels, width)))
        sentences = findings(run, other, differences)
        tables.insert(0, comparison_table(run, other, differences))
    if grids:
        pictures.append(Picture("images", "Images of the same latents as training went on", {"jpg": strip(grids)}))
    title = f"StyleGAN fine-tuning: {' beside '.join(log.name for log in logs)}"
    notes = [
        f"Curves: pale, a value each row of the log; strong, their mean over {width:g} epochs around. Dotted: targets, "
        "and for the AUROC chance. An epoch begins at its number; the first is 0.",
        *([f"Made by `{command}`."] if command else []),
    ]
    files = {f"{one.name}.{suffix}": content for one in pictures for suffix, content in one.files.items()}
    files["report.md"] = page_markdown(title, sentences, tables, pictures, notes).encode()
    files["report.html"] = page_html(title, sentences, tables, pictures, notes).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in {"comparison.png", "comparison.svg", "images.jpg"} - set(files):  # of an earlier report
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    for name, content in files.items():
        with written_whole(folder / name) as file:
            file.write(content)
    return folder / "report.html"


def find_grids(run: str | Path) -> list[Path]:
    """The grids of images that a fine-tuning left in its folder, in order, at most `SHOWN`, evenly chosen.

    Args:
        run: the folder; none are found beside a log that is called by its own name.
    """
    found = sorted(path for path in Path(run).glob("samples/step-*") if path.suffix in (".jpg", ".png"))
    places = np.linspace(0, len(found) - 1, min(SHOWN, len(found))).round().astype(int)
    return [found[place] for place in places]


def strip(grids: Sequence[Path]) -> bytes:
    """Grids side by side, each under its step, as a JPEG."""
    pictures = [read_photo(path).pixels[..., :3] for path in grids]
    labels = [f"step {int(path.stem.removeprefix('step-'))}" for path in grids]
    sheet = contact_sheet([pictures], labels, [""], cell=min(480, max(pictures[0].shape[:2])))
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "jpeg", quality=88)
    return file.getvalue()


def development(run: Log) -> list[str]:
    """What became of the AUROC and the scores from the first tenth of a run's rows to the last: a sentence each.

    >>> rows = np.linspace(0, 1, 20)
    >>> columns = {name: rows for name in ("epoch", "idx", "d_loss", "g_loss")}
    >>> log = Log("a", columns | {"real_fake_auroc": 1 - rows / 4, "mean_age_score": rows / 2})
    >>> development(log)[0]
    'AUROC of real against fake, first to last tenth of the rows: 0.9934 to 0.7566; chance is 0.5.'
    >>> development(log)[1]
    'Score of age, first to last tenth of the rows: 0.0132 to 0.4868; target 0, further away.'
    """
    part = max(1, len(run.epoch) // 10)
    if len(run.epoch) < 2 * part:
        return []
    span = "first to last tenth of the rows"

    def ends(column: str) -> tuple[float, float]:
        values = run.columns[column]
        return float(values[:part].mean()), float(values[-part:].mean())

    before, after = ends("real_fake_auroc")
    sentences = [f"AUROC of real against fake, {span}: {before:.4f} to {after:.4f}; chance is 0.5."]
    for name in run.properties:
        before, after = ends(f"mean_{name}_score")
        end = ""
        if (target := TARGETS.get(name)) is not None:
            change = abs(after - target) - abs(before - target)
            end = f"; target {target:g}, {'closer' if change < 0 else 'further away' if change else 'as far'}"
        sentences.append(f"Score of {name}, {span}: {before:.4f} to {after:.4f}{end}.")
    return sentences


def last_epoch_table(log: Log) -> Table:
    """The last full epoch's mean and the last row of every column, with the distance to the targets."""
    last = log.full_epochs[-1]
    chosen = log.within(last)
    rows = []
    for column in (*COLUMNS[2:], *(f"mean_{name}_score" for name in dict.fromkeys((*TARGETS, *log.properties)))):
        match = SCORE.fullmatch(column)
        target = TARGETS.get(match[1]) if match else None
        known = column in log.columns
        found = (log.columns[column][chosen].mean(), log.columns[column][-1]) if known else ()
        cells = [f"{value:.4f}".replace("-", "−") for value in found] or [UNKNOWN] * 2
        away = [f"{abs(value - target):.4f}" for value in found] if target is not None else []
        rows.append((column, *cells, UNKNOWN if target is None else f"{target:g}", *(away or [UNKNOWN] * 2)))
    mean, row = f"mean of epoch {last}", f"row of {last_row(log)}"
    return Table(
        f"Where {log.name} ended",
        f"The last full epoch, {last}, has {int(chosen.sum())} rows; the last row is that of {last_row(log)}. "
        f"{UNKNOWN}: not in the log, or without a target.",
        ("column", mean, row, "target", "distance of the mean", "distance of the row"),
        rows,
    )


def page_markdown(
    title: str, sentences: Sequence[str], tables: Sequence[Table], pictures: Sequence[Picture], notes: Sequence[str]
) -> str:
    """The whole of ``report.md``."""
    parts = [f"# {title}", "\n".join(f"- {sentence}" for sentence in sentences)]
    parts += [f"![{one.text}]({one.file})" for one in pictures]
    for table in tables:
        parts += [f"## {table.title}", table.note, table_markdown(table)]
    return "\n\n".join(part for part in (*parts, "## Notes", *notes) if part) + "\n"


def page_html(
    title: str, sentences: Sequence[str], tables: Sequence[Table], pictures: Sequence[Picture], notes: Sequence[str]
) -> str:
    """The whole of ``report.html``: nothing in it is fetched from elsewhere."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if sentences:
        parts.append("<ul>\n" + "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "\n</ul>")
    parts += [f'<p><img alt="{one.text}" src="{one.data}"></p>' for one in pictures]
    for table in tables:
        parts.append(f"<h2>{html.escape(table.title)}</h2>\n<p>{html.escape(table.note)}</p>")
        parts.append(f"<div>{table_html(table)}</div>")
    parts += ["<h2>Notes</h2>", *(f"<p>{html.escape(note)}</p>" for note in notes)]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )

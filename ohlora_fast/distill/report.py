"""A report on one or several training runs: tables and curves, as Markdown and as one HTML file, without photos."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohlora_fast.distill.curves import FIGURES, draw_curves, is_drawn
from ohlora_fast.distill.metrics import OVERALL, Scores, Summary
from ohlora_fast.errors import InputError
from ohlora_fast.media.csv_files import read_csv
from ohlora_fast.media.files import written_whole

UNKNOWN = "–"

HEADER = ("MSE", "IoU", "Dice", "recall", "precision")
RECORDED = {
    "MSE": ("0.000794", "0.9680", "0.9838", "0.9833", "0.9842"),
    "Soft BCE (kept)": ("0.000738", "0.9681", "0.9838", "0.9836", "0.9840"),
    "KL divergence": ("0.076325", "0.5673", "0.7239", "1.0000", "0.5673"),
}
"""What Oh-LoRA v4 recorded of its students, by loss, in the order of `HEADER`."""


@dataclass(frozen=True)
class Run:
    """A trained student, as the report knows it.

    Attributes:
        name: what tells it from the others.
        settings: name → value; "loss", if there, goes into the tables.
        log: a row an epoch, as `read_run` gives it; empty for a bare checkpoint.
        scores: what `summarise` gives; empty if the student was not scored.
    """

    name: str
    settings: Mapping[str, Any]
    log: Sequence[Mapping[str, str]]
    scores: Mapping[str, Summary]


@dataclass(frozen=True)
class Table:
    """A table of text: the columns from ``numbers`` on are flush right."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1


def read_run(folder: str | Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Read a run's settings and log; before the end of its first epoch the log is empty.

    Returns:
        ``RUN/settings.json`` and the rows of ``RUN/log.csv``: column → text; cells may be empty, but not "epoch".

    Raises:
        InputError: the folder is not a run's, or one of the two files is damaged.
    """
    folder = Path(folder)
    file = folder / "settings.json"
    if not file.is_file():
        raise InputError(f"{folder}: not a run's folder, it has no settings.json; allowed is what `distill -o` wrote")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{file}: holds a {type(settings).__name__}, expected an object, name → value")
    return settings, read_log(folder / "log.csv")


def read_log(file: Path) -> list[dict[str, str]]:
    """The rows of a ``log.csv``, none if there is no such file.

    Raises:
        InputError: it has no column "epoch", a row does not fit the header, or a cell that is drawn is not a number.
    """
    if not file.is_file():
        return []
    lines = [line for line in read_csv(file) if line]
    header, rows = (lines[0] if lines else []), lines[1:]
    if "epoch" not in header:
        raise InputError(f"{file}: has no column epoch; found {', '.join(header) or 'nothing'}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"{file}: row {number} has {len(row)} cells, the header {len(header)}")
        for column, cell in zip(header, row, strict=True):
            if is_drawn(column) and (cell or column == "epoch") and as_number(cell) is None:
                raise InputError(f"{file}: row {number}, {column}: got {cell!r}, expected a number")
    return [dict(zip(header, row, strict=True)) for row in rows]


def as_number(text: str) -> float | None:
    """The number that a text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def write_report(folder: str | Path, runs: Sequence[Run]) -> Path:
    """Write a report that compares runs; files of an earlier one are replaced.

    The folder gets ``report.md``, ``report.html`` (which holds the curves itself and needs no other file),
    ``curves.png`` and ``curves.svg``: no photos. Runs without a log or of one epoch are welcome.

    Args:
        folder: is made if it does not exist.
        runs: one or more, in the order in which they are shown.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: no run came or two share a name, matplotlib is missing, or the folder cannot be written.
    """
    names = [run.name for run in runs]
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"runs: got {', '.join(names) or 'none'}; allowed are one or more, each with a name of its own"
        )
    folder = Path(folder)
    drawn = draw_curves(runs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FIGURES:
            (folder / name).unlink(missing_ok=True)  # a report without curves must not keep an earlier one's
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    files = dict(drawn)
    title = f"Student {names[0]}" if len(names) == 1 else f"{len(names)} students compared"
    tables = [scores_table(runs), recorded_table(runs), settings_table(runs)]
    files["report.md"] = page_markdown(title, tables, bool(drawn)).encode()
    files["report.html"] = page_html(title, tables, drawn.get("curves.svg")).encode()
    for name, content in files.items():
        with written_whole(folder / name) as file:
            file.write(content)
    return folder / "report.html"


def scores_table(runs: Sequence[Run]) -> Table:
    """Every score, the students below one another for each source."""
    rows = []
    for source in dict.fromkeys(source for run in runs for source in run.scores):
        for over in ("photos", "pixels"):
            for run in runs:
                if summary := run.scores.get(source):
                    scores = summary.mean if over == "photos" else summary.pooled
                    row = (source, over, run.name, str(summary.photos), *numbers(scores), f"{scores.boundary_iou:.4f}")
                    rows.append(row)
    return Table(
        "Scores by source",
        "Prediction > 0.5 against mask ≥ 128 at the photo's own size; MSE of the probability. Over photos: the mean of "
        "their scores, both masks empty counts as 1. Over pixels: all photos' pixels pooled. Boundary IoU: of rims as "
        "wide as 2 % of the diagonal (Cheng et al. 2021).",
        ("source", "over", "student", "photos", *HEADER, "boundary IoU"),
        rows or [(UNKNOWN,) * 10],
        numbers=3,
    )


def numbers(scores: Scores) -> tuple[str, ...]:
    """Those scores that were recorded, with as many digits.

    >>> numbers(Scores(0.000738, 0.9681, 0.9838, 0.9836, 0.984, 0.9))
    ('0.000738', '0.9681', '0.9838', '0.9836', '0.9840')
    """
    return (f"{scores.mse:.6f}", *(f"{x:.4f}" for x in (scores.iou, scores.dice, scores.recall, scores.precision)))


def recorded_table(runs: Sequence[Run]) -> Table:
    """The scores that Oh-LoRA v4 recorded, beside those of the runs, by loss."""
    rows = [
        (run.name, str(run.settings.get("loss", UNKNOWN)), *numbers(run.scores[OVERALL].pooled))
        for run in runs
        if OVERALL in run.scores
    ]
    recorded = [("Oh-LoRA v4, recorded", loss, *values) for loss, values in RECORDED.items()]
    return Table(
        "Beside the recorded table",
        "Over all pixels of all photos. The recorded students were scored against their teacher's masks at 0.5, on "
        "other photos: they show what each loss can do, and are no mark to beat on photos labelled by hand.",
        ("student", "loss", *HEADER),
        [*rows, *recorded],
        numbers=2,
    )


def settings_table(runs: Sequence[Run]) -> Table:
    """The settings that differ between runs; of a single run, all."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    rows = [
        (name, *(as_text(run.settings[name]) if name in run.settings else UNKNOWN for run in runs)) for name in names
    ]
    if len(runs) > 1:
        rows = [row for row in rows if len(set(row[1:])) > 1]
    title, nothing = ("Settings that differ", "none") if len(runs) > 1 else ("Settings", "not known")
    return Table(title, "", ("setting", *(run.name for run in runs)), rows or [(nothing, *[""] * len(runs))])


def as_text(value: object) -> str:
    """A setting's value as it stands in settings.json, text without its quotes.

    >>> as_text("soft_bce"), as_text(None), as_text(0.0001), as_text({"figaro": 2})
    ('soft_bce', 'null', '0.0001', '{"figaro": 2}')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def table_markdown(table: Table) -> str:
    """A Markdown table whose columns line up.

    >>> print(table_markdown(Table("", "", ("name", "IoU"), [("a|b", "0.5")])))
    | name |  IoU |
    | :--- | ---: |
    | a\\|b |  0.5 |
    """
    escaped = str.maketrans({"|": "\\|", "<": "\\<"})
    lines = [[" ".join(cell.split()).translate(escaped) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(4, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = [":" + "-" * (w - 1) if i < table.numbers else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    padded = [
        [
            cell.ljust(w) if i < table.numbers else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def table_html(table: Table) -> str:
    """The rows of an HTML table."""
    lines = []
    for tag, row in (("th", table.header), *(("td", row) for row in table.rows)):
        cells = [
            f"<{tag}{' class=number' if i >= table.numbers else ''}>{html.escape(cell)}</{tag}>"
            for i, cell in enumerate(row)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


NO_CURVES = "No curves: there is neither a log nor a score."


def page_markdown(title: str, tables: Sequence[Table], curves: bool) -> str:
    """The whole of ``report.md``."""
    title = " ".join(title.split())
    parts = [f"# {title}"]
    for table in tables:
        parts += [f"## {table.title}", *([table.note] if table.note else []), table_markdown(table)]
    parts += ["## Curves", "![Curves of the training runs](curves.png)" if curves else NO_CURVES]
    return "\n\n".join(parts) + "\n"


STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff }
div { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ccc; text-align: left; white-space: nowrap }
th { border-bottom: 2px solid #555 }
.number { text-align: right }
img { max-width: 100%; height: auto }"""


def page_html(title: str, tables: Sequence[Table], curves: bytes | None) -> str:
    """The whole of ``report.html``: nothing in it is fetched from elsewhere."""
    parts = []
    for table in tables:
        note = f"<p>{html.escape(table.note)}</p>\n" if table.note else ""
        parts.append(f"<h2>{html.escape(table.title)}</h2>\n{note}<div>{table_html(table)}</div>")
    picture = f"<p>{NO_CURVES}</p>"
    if curves is not None:
        data = base64.b64encode(curves).decode()
        picture = f'<img alt="Curves of the training runs" src="data:image/svg+xml;base64,{data}">'
    body = "\n".join((f"<h1>{html.escape(title)}</h1>", *parts, "<h2>Curves</h2>", picture))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )

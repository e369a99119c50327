"""Does a long run end well, whatever happens to it? Dye many photos, kill the run now and then, watch its memory.

    python -m ohlora_fast.benchmarks.endurance PHOTOS -o FOLDER

copies the photos of a folder, over and over under new names, until there are enough, dyes them with `ohlora-fast dye`
in a process of its own, kills that with SIGKILL at random moments and starts it again, and in the end holds every
output against what `Dyer` makes of its input in this process. It writes ``endurance.json``, with the memory of the run
and its processes several times a second, and ``endurance.svg``, which shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ohlora_fast.benchmarks.run import machine, versions

from ohlora_fast.batch.dyer import Dyer, checksums, collecting_warnings, open_source
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.distill.curves import figure_class
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.images import FORMATS

EVERY_S = 0.25
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def main() -> int:
    """Run from the command line, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ohlora_fast.benchmarks.endurance", description=__doc__)
    parser.add_argument("photos", help="a folder of photos")
    parser.add_argument("-o", "--out", required=True, help="a folder for the results, and for the work, which goes")
    parser.add_argument("--count", type=int, default=5000, help="photos to dye (5000)")
    parser.add_argument("--kills", type=int, default=3, help="how often the run is killed (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--options", default="", help="more of `ohlora-fast dye`, in one word: '--runner ray'")
    args = parser.parse_args()
    folder = Path(args.out).resolve()
    source, out = folder / "in", folder / "dyed"
    try:
        prepare(Path(args.photos), source, args.count)
        result = endure(source, out, shlex.split(args.options), args.kills, random.Random(args.seed))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    result |= {"options": args.options, "seed": args.seed, "wrong": wrong_outputs(source, out)}
    with written_whole(folder / "endurance.json") as file:
        file.write(json.dumps(result, indent=1).encode())
    with written_whole(folder / "endurance.svg") as file:
        file.write(chart(result))
    shutil.rmtree(source)
    shutil.rmtree(out)
    for wrong in result["wrong"][:10]:
        print(wrong, file=sys.stderr)
    print(
        f"{args.count} photos, {len(result['kills'])} kills, {len(result['wrong'])} wrong outputs, "
        f"{result['seconds']:.0f} s, at most {max(sample[1] for sample in result['memory']) / 2**20:.0f} MB"
    )
    return 1 if result["wrong"] else 0


def prepare(photos: Path, source: Path, count: int) -> None:
    """Copy the photos of a folder under new names until there are `count`.

    Raises:
        InputError: there are none, or something is there already.
    """
    originals = [path for path in sorted(photos.rglob("*")) if path.suffix.lower() in FORMATS]
    if not originals:
        raise InputError(f"no photos in {photos}; looked for {', '.join(FORMATS)}")
    if source.parent.exists() and any(source.parent.iterdir()):
        raise InputError(f"--out: {source.parent} is not empty")
    for number in range(count):
        original = originals[number % len(originals)]
        copy = source / f"{number // 1000:03}" / f"{number:06}{original.suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, copy)


def endure(source: Path, out: Path, options: list[str], kills: int, chance: random.Random) -> dict[str, Any]:
    """Dye a folder, killed `kills` times, and tell how it went: times in seconds, memory in bytes.

    Raises:
        InputError: the run ended with another exit code than 0.
    """
    command = [sys.executable, "-m", "ohlora_fast.cli", "dye", str(source), "-o", str(out), "--recursive", "--json"]
    count = sum(1 for path in source.rglob("*") if path.is_file())
    moments = sorted(chance.randrange(count // 20, count * 19 // 20) for _ in range(kills))
    start = time.monotonic()
    memory: list[tuple[float, int]] = []
    killed: list[tuple[float, int]] = []
    ends: list[Any] = []
    while True:
        # Elsewhere than in the source tree, which Python would import instead of what is installed.
        process = subprocess.Popen(
            [*command, *options], cwd=source, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        while process.poll() is None:
            time.sleep(EVERY_S)
            now = time.monotonic() - start
            memory.append((round(now, 2), resident(process.pid)))
            if len(killed) < kills and (made := outputs(out)) >= moments[len(killed)]:
                os.killpg(process.pid, signal.SIGKILL)
                killed.append((round(now, 2), made))
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        if process.returncode == 0:
            ends.append(json.loads(lines[-1]))
            break
        if process.returncode != -signal.SIGKILL:
            raise InputError(f"`{' '.join(command)}` ended with exit code {process.returncode}")
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "photos": count,
        "seconds": round(time.monotonic() - start, 1),
        "kills": killed,
        "end": ends[-1],
        "memory": memory,
    }


def outputs(out: Path) -> int:
    """How many photos are there, half-written ones aside."""
    return sum(1 for path in out.glob("*/*") if path.suffix.lower() in FORMATS)


def resident(group: int) -> int:
    """Bytes of memory that the processes of a group hold, what they share counted once for each."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            total += int(fields[21]) * PAGE
    return total


def wrong_outputs(source: Path, out: Path) -> list[str]:
    """What is not as it should be: outputs that are missing, torn, too many, or not what the manifest says."""
    dyer, recipe, wrong = Dyer(Recipe()), Recipe(), []
    with closing(sqlite3.connect(out / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        known = dict(manifest.execute("SELECT source, checksums FROM photos WHERE state = 'done'"))
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    made = {path.relative_to(out) for path in out.rglob("*") if path.is_file() and ".ohlora-fast" not in path.parts}
    wrong += [f"{name}: there is no output" for name in sorted(wanted - made)]
    wrong += [f"{name}: nobody asked for it" for name in sorted(made - wanted)]
    wrong += [f"{path}: left half-written" for path in (out / ".ohlora-fast").glob("tmp/*")]
    for name in sorted(wanted & made):
        settings = recipe.settings(name.as_posix())
        with collecting_warnings(), open_source(str(source / name)) as file:
            files = dyer.make(
                file, str(name), (name.name,), (settings.color, settings.ombre_height, settings.ombre_grad_height)
            ).files
        if (out / name).read_bytes() != files[0]:
            wrong.append(f"{name}: another picture than this process makes of it")
        if known.get(str(source / name)) != checksums(files)[0]:
            wrong.append(f"{name}: another checksum in the manifest")
    return wrong


def chart(result: dict[str, Any]) -> bytes:
    """Draw the memory over time, and the kills in it, as SVG."""
    import io

    import matplotlib

    figure = figure_class()(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [sample[0] for sample in result["memory"]], [sample[1] / 2**20 for sample in result["memory"]], color="#0072B2"
    )
    words = "killed, when so many were made: " + ", ".join(f"{made:,}" for _, made in result["kills"])
    for number, (when, _) in enumerate(result["kills"]):
        axes.axvline(when, color="#D55E00", linestyle="--", label=words if number == 0 else None)
    axes.set(xlabel="seconds", ylabel="memory of the run, MB", title=f"{result['photos']:,} photos")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    if result["kills"]:
        axes.legend(loc="lower right", frameon=False)
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "ohlora", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())

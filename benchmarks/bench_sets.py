"""How quickly does a folder of photos become a folder of dyed ones?

Limit: the processor's cores. ``CPU time shared`` is what one photo after the other costs on one thread, in the
processor's own time, divided by the cores: nobody is quicker but by doing less. The others are what a user waits,
loading the student included. ``loop over dye`` is the plain one, with all threads in each photo; ``DataLoader`` decodes
in PyTorch's worker processes, one a core, and dyes and writes in the main one.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import setting
from ohlora_fast.benchmarks.setting import no_portrait, portraits

from ohlora_fast.batch.dyer import Dyer, store
from ohlora_fast.batch.outbox import open_outbox
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.run import How, dye_set
from ohlora_fast.batch.task import Task
from ohlora_fast.media.images import read_photo, write_photo
from ohlora_fast.stylist import HairStylist

OURS, ALONE, SHARED, LOOP, LOADER = "dye_set", "dye_set, one worker", "CPU time shared", "loop over dye", "DataLoader"
PROVIDERS = (OURS, ALONE, SHARED, LOOP, LOADER)
COUNT, SIZE = 1600, 512
GROUP = f"set of {COUNT} JPEGs of {SIZE}×{SIZE}"


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return no_portrait()


def fill(folder: Path, count: int, size: int, different: int = 100) -> None:
    """Write so many photos, of which some differ."""
    folder.mkdir()
    photo = portraits(1, size)[0]
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        if number < different:
            write_photo(path, np.roll(photo, number, axis=1), quality=90)
        else:
            shutil.copyfile(folder / f"{number % different:05}.jpg", path)


def make(provider: str, source: Path, out: Path, threads: int) -> Callable[[], object]:
    """The call to time: from the photos in a folder to those in another, which is not there."""
    paths = sorted(source.iterdir())
    if provider in (OURS, ALONE):
        how = How(workers=1 if provider == ALONE else threads + 1)
        return lambda: dye_set([source], out, how=how)
    if provider == LOOP:
        return lambda: loop(((path, read_photo(path)) for path in paths), out, threads)
    return lambda: loop(loaded(paths, threads), out, threads)


def loop(photos: Any, out: Path, threads: int) -> None:
    """Dye and write photos that come with their paths."""
    out.mkdir()
    stylist = HairStylist(threads=threads)
    for path, photo in photos:
        write_photo(out / path.name, stylist.dye(photo.pixels), like=photo)


def loaded(paths: list[Path], workers: int) -> Any:
    """Read photos in PyTorch's worker processes."""
    from torch.utils.data import DataLoader

    return DataLoader(Photos(paths), batch_size=None, num_workers=workers, prefetch_factor=8)


class Photos:
    """A dataset for PyTorch."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Path, Any]:
        return self.paths[index], read_photo(self.paths[index])


def shared_cpu_time(source: Path, out: Path, threads: int) -> float:
    """Seconds of the processor that the photos take one after the other, divided by the cores."""
    dyer, outbox = Dyer(Recipe()), open_outbox(str(out))
    start = time.process_time()
    for path in sorted(source.iterdir()):
        task = Task(str(path), "photo", path.name, (path.name,), (0.5, 0.6, 0.5))
        result = store(dyer.photo(task), outbox)
        assert result.error is None, result.error
    return (time.process_time() - start) / threads


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_sets(benchmark: Any, measure: Callable[..., None], provider: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        fill(source, COUNT, SIZE)
        if provider == SHARED:
            seconds: list[float] = []
            measure(GROUP, lambda: seconds.append(shared_cpu_time(source, out, setting.threads())), 1, 0)
            benchmark.extra_info["s"] = seconds
            return
        measure(GROUP, make(provider, source, out, setting.threads()), rounds=1, warm_up=0)
        assert len(list(out.glob("*.jpg"))) == COUNT
        shutil.rmtree(out)

"""HairStylist across processes: pickled, copied, in workers of a data loader, and in a child that was forked."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from ohlora_fast import HairStylist
from ohlora_fast.heads.finder import HeadFinder

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def run(code: str, folder) -> list[str]:
    """Lines that a script prints, which must end by itself, and well."""
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def again(stylist: HairStylist) -> HairStylist:
    copied: HairStylist = pickle.loads(pickle.dumps(stylist))
    return copied


@pytest.mark.parametrize("make", [again, copy.deepcopy, copy.copy])
def test_a_copy_is_rebuilt_from_its_arguments(make, portrait_pixels):
    stylist = HairStylist(engine="onnx", threads=1)
    other = make(stylist)
    assert type(other) is HairStylist
    assert other.engine is not stylist.engine
    assert (other.engine.name, other.threads) == ("onnx", 1)
    np.testing.assert_array_equal(other.segment(portrait_pixels), stylist.segment(portrait_pixels))


def test_a_pickle_stays_short_and_finds_its_checkpoint_from_elsewhere(tmp_path, monkeypatch):
    from ohlora_fast.student import bundled

    (tmp_path / "mine.onnx").write_bytes(bundled("default.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(HairStylist("mine.onnx"))
    assert len(data) < 1000
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(data).engine.what == f"checkpoint {tmp_path / 'mine.onnx'}"


def test_head_finders_pickle():
    finder = pickle.loads(pickle.dumps(HeadFinder(threads=1)))
    assert len(finder.find(np.full((60, 80, 3), 128, np.uint8))) == 0


LOADER = """
import sys
import numpy as np
import torch
from ohlora_fast import HairStylist

class Photos(torch.utils.data.Dataset):
    def __init__(self, stylist):
        self.stylist = stylist

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.stylist.segment(np.full((1200, 700 + index, 3), 90, np.uint8)).shape[1]

if __name__ == "__main__":
    stylist = HairStylist(threads={threads})
    stylist.segment(np.full((1200, 900, 3), 90, np.uint8))
    loader = torch.utils.data.DataLoader(Photos(stylist), num_workers=2, multiprocessing_context="{method}")
    print([int(width) for width in loader])
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "method", ["spawn", pytest.param("forkserver", marks=forks), pytest.param("fork", marks=forks)]
)
def test_in_workers_of_a_data_loader(method, threads, tmp_path):
    pytest.importorskip("torch")
    assert run(LOADER.format(method=method, threads=threads), tmp_path) == ["[700, 701, 702, 703]"]


FORK = """
import os, sys
import numpy as np
from ohlora_fast import HairStylist
photo = np.random.default_rng(0).integers(0, 256, (1200, 900, 3), np.uint8)
stylist = HairStylist(threads=2)
before = stylist.dye(photo, heads=[[100, 100, 600, 900]])
if os.fork() == 0:
    if {used}:
        print("same" if (stylist.dye(photo, heads=[[100, 100, 600, 900]]) == before).all() else "other", flush=True)
    sys.exit(7)  # as a server's worker ends
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@forks
@pytest.mark.parametrize("used", [True, False])
def test_a_forked_child_ends(used, tmp_path):
    assert run(FORK.format(used=used), tmp_path) == ["same"] * used + ["7"]

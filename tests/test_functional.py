"""`dye` and `segment` as functions: floats and bytes in, the same out."""

import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

import ohlora_fast
from ohlora_fast import HairStylist, InputError
from ohlora_fast.errors import NoHairWarning
from ohlora_fast.functional import default_stylist


@pytest.fixture(scope="module")
def photo(portrait_pixels):
    return portrait_pixels


def test_bytes_are_dyed_as_by_a_stylist(photo):
    stylist = HairStylist()
    assert np.array_equal(ohlora_fast.dye(photo, 0.9, 0.8, 0.2), stylist.dye(photo, 0.9, 0.8, 0.2))
    assert np.array_equal(ohlora_fast.segment(photo), stylist.segment(photo))


def test_bytes_are_dyed_without_pytorch():
    program = (
        "import sys, numpy, ohlora_fast\n"
        "photo = numpy.zeros((60, 40, 3), numpy.uint8)\n"
        "ohlora_fast.dye(photo, prob=numpy.ones((4, 4))), ohlora_fast.segment(photo)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_dyed_unrounded_and_what_is_not_dyed_stays_to_the_last_bit(photo, dtype):
    image = (photo / 255).astype(dtype)
    dyed = ohlora_fast.dye(image, 0.9, 1.0, 0.0)
    assert dyed.dtype == dtype
    assert dyed.min() >= 0
    assert dyed.max() <= 1 + 1e-6
    as_bytes = ohlora_fast.dye(photo, 0.9, 1.0, 0.0).astype(int)
    assert np.abs(dyed * 255 - as_bytes).max() <= 2  # both truncations of bytes go down
    bald = ohlora_fast.segment(image) < 0.74
    assert 0.5 < bald.mean() < 0.95
    assert np.array_equal(dyed[bald], image[bald])


def test_a_mask_from_elsewhere_and_transparency(photo):
    alpha = np.random.default_rng(0).random((*photo.shape[:2], 1))
    image = np.concatenate([photo / 255, alpha], axis=2)
    dyed = ohlora_fast.dye(image, prob=np.ones((8, 8)), ombre_height=1, ombre_grad_height=0)
    assert np.array_equal(dyed[..., 3], image[..., 3])
    assert (dyed[..., 2] > image[..., 2])[photo[..., 2] < 240].all()  # sky blue is added everywhere


def test_batches_equal_single_images(photo):
    batch = np.stack([photo, photo[:, ::-1]]) / 255
    assert np.allclose(ohlora_fast.dye(batch)[1], ohlora_fast.dye(batch[1]), atol=1e-6)


@pytest.fixture(scope="module")
def group(photo):
    """Two people side by side."""
    return np.hstack([photo, photo[:, ::-1]])


def test_each_head_is_dyed_as_by_a_stylist_in_bytes_and_in_floats(group):
    stylist, colors = HairStylist(), [0.9, 0.6]
    dyed = ohlora_fast.dye(group, colors, 1.0, [0.2, 0.0])
    assert np.array_equal(dyed, stylist.dye(group, colors, 1.0, [0.2, 0.0]))
    floats = ohlora_fast.dye(group / 255, colors, 1.0, [0.2, 0.0])
    assert np.abs(floats * 255 - dyed).max() <= 2
    only = ohlora_fast.dye(group / 255, 0.9, 1.0, 0.2, heads=[0])
    changed = np.abs(only - group / 255).max(2) > 0.1
    assert changed[:, :180].any()
    assert not changed[:, 180:].any()


@pytest.mark.parametrize("heads", ["whole", [1], [[200, 5, 345, 190]]])
def test_whose_hair_is_found_may_be_chosen(group, heads):
    prob = ohlora_fast.segment(group, heads=heads)
    assert np.array_equal(prob, HairStylist().segment(group, heads=heads))
    assert (prob != ohlora_fast.segment(group)).any()
    assert np.array_equal(ohlora_fast.segment(group / 255, heads=heads), prob)


def test_a_batch_takes_heads_and_settings_for_each_image(group):
    batch = np.stack([group, group[:, ::-1]]) / 255
    dyed = ohlora_fast.dye(batch, [0.9, [0.1, 0.6]], heads=[[0], "auto"])
    assert np.allclose(dyed[0], ohlora_fast.dye(batch[0], 0.9, heads=[0]), atol=1e-6)
    assert np.allclose(dyed[1], ohlora_fast.dye(batch[1], [0.1, 0.6]), atol=1e-6)


def test_where_nobody_is_nothing_changes():
    image = np.random.default_rng(0).random((64, 96, 3))
    with pytest.warns(NoHairWarning):
        assert np.array_equal(ohlora_fast.dye(image, heads=np.zeros((0, 4))), image)


def test_heads_have_no_place_beside_a_map(photo):
    with pytest.raises(InputError, match=r"heads: got 'whole' beside prob, allowed is 'auto'"):
        ohlora_fast.dye(photo, prob=np.ones((4, 4)), heads="whole")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((9, 9, 3), 1.5), "image: got floats from 1.5 to 1.5, allowed are 0 to 1"),
        (np.full((9, 9, 3), np.nan), "got floats from nan"),
        (
            np.zeros((9, 9, 3), np.int32),
            "image: got dtype int32, allowed is a NumPy array of uint8, float32 or float64",
        ),
        ("photo.png", "image: got str"),
        (np.zeros((9, 9)), "image: got shape"),
        (np.zeros((0, 9, 3)), "image: got shape"),
    ],
)
def test_other_images_are_refused(image, message):
    with pytest.raises(InputError, match=message):
        ohlora_fast.dye(image)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_makes_a_stylist_of_its_own_and_can_use_it(photo):
    wanted = default_stylist(threads=1).segment_map(photo)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, default_stylist(threads=1).segment_map(photo).mean().tobytes())
        finally:
            os._exit(0)
    ready, _, _ = select.select([reader], [], [], 120)
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert ready, "the forked process hangs"
    assert os.read(reader, 20) == wanted.mean().tobytes()

"""Natural dyeing as users meet it: NaturalDye, palettes, `method` of apply_ombre and HairStylist.dye."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import ohlora_fast
from ohlora_fast import InputError, NaturalDye, Ombre, apply_ombre
from ohlora_fast.ombre import available_backends
from ohlora_fast.ops.oklab import from_oklab
from ohlora_fast.palettes import PALETTES, dye_colors, hue_dyes

RUNNING = [name for name in ("numpy", "cpp", "torch") if available_backends()[name] is None]
EVERYTHING = NaturalDye(("teal", 0.9), direction="flow", highlights="gold", undercolor="#302a60", warmth=0.2)


def photo(count=None, channels=3, size=(40, 30)):
    shape = (*(() if count is None else (count,)), *size, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def hair(count=None):
    return np.random.default_rng(1).random((*(() if count is None else (count,)), 9, 8), dtype=np.float32) ** 0.2


@pytest.mark.parametrize(
    "method", ["natural", NaturalDye("sunset", lift=0.9), EVERYTHING], ids=["plain", "stops", "all"]
)
@pytest.mark.parametrize("backend", ["auto", *RUNNING])
def test_batches_and_transparency(backend, method):
    image, prob, settings = photo(3, 4), hair(3), ([0.1, 0.5, 0.9], (1, 0.5, 0.7), 0.4)
    together = apply_ombre(image, prob, *settings, backend=backend, method=method)
    expected = apply_ombre(image, prob, *settings, backend="numpy", method=method)
    assert np.abs(together.astype(int) - expected).max() <= 1
    assert (expected != image).any()
    np.testing.assert_array_equal(together[..., 3], image[..., 3])
    alone = apply_ombre(image[1], prob[1], 0.5, 0.5, 0.4, backend=backend, method=method)
    np.testing.assert_array_equal(together[1], alone)


@pytest.mark.parametrize("method", ["natural", EVERYTHING], ids=["plain", "all"])
def test_tensors_in_tensors_out(method):
    torch = pytest.importorskip("torch")
    image, prob = photo(2), hair()
    planes = torch.from_numpy(image).permute(0, 3, 1, 2)
    expected = apply_ombre(image, prob, method=method)
    for backend in ("auto", "torch", "cpp"):
        got = apply_ombre(planes, torch.from_numpy(prob), backend=backend, method=method)
        assert got.dtype == torch.uint8
        assert np.abs(got.permute(0, 2, 3, 1).numpy().astype(int) - expected).max() <= 1
    leaf = planes[0].float().requires_grad_()
    apply_ombre(leaf, torch.from_numpy(prob), method=method).sum().backward()
    assert float(leaf.grad.abs().sum()) > 0


def test_seed_stays_the_default():
    image, prob = photo(), hair()
    np.testing.assert_array_equal(apply_ombre(image, prob), apply_ombre(image, prob, method="seed"))
    assert (apply_ombre(image, prob) != apply_ombre(image, prob, method="natural")).any()
    natural = Ombre(0.9, 1.0).apply(image, prob, method="natural")
    np.testing.assert_array_equal(natural, apply_ombre(image, prob, 0.9, 1.0, method="natural"))


def test_no_hair_and_the_untouched_part_stay():
    image = photo()
    for backend in RUNNING:
        np.testing.assert_array_equal(apply_ombre(image, np.zeros((8, 8)), backend=backend, method=EVERYTHING), image)
        dyed = apply_ombre(image, np.ones((8, 8)), ombre_height=0.25, backend=backend, method="natural")
        np.testing.assert_array_equal(dyed[:29], image[:29])
        assert (dyed[35:] != image[35:]).any()


def test_stops_run_from_where_the_dye_begins_to_the_tips():
    grey = np.full((200, 8, 3), 128, np.uint8)
    dyed = apply_ombre(grey, np.ones((4, 4)), 0.5, 1.0, 0.0, method=NaturalDye(["red", "lime", "blue"], strength=1))
    assert [int(dyed[row, 0].argmax()) for row in (2, 100, 198)] == [0, 1, 2]


def test_stylist_dyes_naturally():
    stylist = ohlora_fast.HairStylist(threads=1)
    image = photo(size=(120, 100))
    prob = np.ones((224, 224), np.float32)
    by_map = stylist.dye_by_map(image, prob, 0.9, 1.0, method=NaturalDye(lift=0.8))
    np.testing.assert_array_equal(by_map, apply_ombre(image, prob, 0.9, 1.0, method=NaturalDye(lift=0.8)))
    with pytest.warns(ohlora_fast.errors.NoHairWarning):
        bald = stylist.dye_by_map(image, 0 * prob, method="natural")
    np.testing.assert_array_equal(bald, image)
    one, two = stylist.dye([image, image], [0.1, 0.9], method="natural")
    assert one.shape == two.shape == image.shape


def test_settings_compare_hash_and_travel():
    dye = NaturalDye(["teal", 0.3])
    assert dye == NaturalDye(("teal", 0.3))
    assert hash(dye) == hash(NaturalDye(("teal", 0.3)))
    assert pickle.loads(pickle.dumps(EVERYTHING)) == EVERYTHING
    with pytest.raises(AttributeError):
        dye.lift = 0.3


WRONG = {
    "method": (lambda: apply_ombre(photo(), hair(), method="real"), r"^method: got 'real', allowed are 'seed',"),
    "method's type": (lambda: apply_ombre(photo(), hair(), method=NaturalDye), r"^method: got <class"),
    "cuda": (
        lambda: apply_ombre(photo(), hair(), backend="cuda", method="natural"),
        r"^backend: got 'cuda', but natural",
    ),
    "palette": (lambda: NaturalDye("sunsets"), r"^stops: got 'sunsets', allowed is the name of a palette \(rose"),
    "hue": (lambda: NaturalDye(1.5), r"^stops: got 1.5, allowed"),
    "true": (lambda: NaturalDye(True), r"^stops: got True, allowed"),
    "NaN": (lambda: NaturalDye(["red", float("nan")]), r"^stops: got nan, allowed"),
    "no stops": (lambda: NaturalDye([]), r"^stops: got \[\], allowed"),
    "lift": (lambda: NaturalDye(lift=1.1), r"^lift: got 1.1, allowed is a number from 0 to 1$"),
    "strength": (lambda: NaturalDye(strength="1"), r"^strength: got '1', allowed is a number"),
    "direction": (lambda: NaturalDye(direction="up"), r"^direction: got 'up', allowed are 'vertical', 'flow'$"),
    "several highlights": (
        lambda: NaturalDye(highlights="sunset"),
        r"^highlights: got 'sunset', allowed is one colour$",
    ),
    "undercolor": (lambda: NaturalDye(undercolor="teall"), r"^undercolor: got 'teall', allowed is the name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_named(what):
    call, message = WRONG[what]
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PALETTES)
def test_every_palette_reads_and_lies_inside_srgb(name):
    colors = dye_colors(name)
    assert len(colors) == len(PALETTES[name])
    written = [[int(text[k : k + 2], 16) for k in (1, 3, 5)] for text in PALETTES[name]]
    np.testing.assert_allclose(from_oklab(colors), written, atol=0.01)


def test_hues_are_dyes_and_never_neon():
    colors = hue_dyes(np.linspace(0, 1, 37))
    np.testing.assert_allclose(colors[0], colors[-1])
    assert np.hypot(colors[:, 1], colors[:, 2]).max() <= 0.1701
    assert colors[:, 0].min() > 0.5
    pixels = from_oklab(colors)
    assert (pixels > -0.01).all()
    assert np.abs(dye_colors(0.25) - hue_dyes(np.array([0.25]))).max() == 0


def test_it_needs_no_torch():
    code = (
        "import sys, numpy as np, ohlora_fast as o\n"
        "o.apply_ombre(np.zeros((9, 9, 3), 'u1'), np.ones((4, 4)), method=o.NaturalDye('sunset', highlights='gold'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

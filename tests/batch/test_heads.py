"""Sets head by head: recipes, what is counted, and manifests of before."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.batch import Recipe, dye_set, recipe
from ohlora_fast.batch.dyer import Dyer
from ohlora_fast.batch.run import How
from ohlora_fast.batch.together import Together
from ohlora_fast.errors import InputError
from ohlora_fast.heads.finder import bundled_heads
from ohlora_fast.media.images import read_photo
from ohlora_fast.media.overlay import mask_pixels, overlay_pixels
from ohlora_fast.media.photo import Photo
from ohlora_fast.student import bundled

SETTINGS = (0.9, 0.8, 0.2)


@pytest.mark.parametrize(
    ("heads", "colors", "refine", "given"),
    [
        ("auto", None, False, 0.9),
        ("auto", (0.2, 0.7), True, [0.2, 0.7, 0.2]),
        ((2, 0), (0.2, 0.7, 0.4), False, [0.2, 0.7]),
        ("whole", (0.2, 0.7), False, 0.2),
    ],
)
def test_one_look_serves_for_all_that_is_made(
    group_pixels: np.ndarray, heads: Any, colors: Any, refine: bool, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylist = HairStylist(threads=1)
    dyer = Dyer(Recipe(save=("dyed", "mask", "overlay"), heads=heads, head_colors=colors, refine=refine))
    looks, look = [], dyer.stylist.find_hair
    monkeypatch.setattr(dyer.stylist, "find_hair", lambda *args, **more: looks.append(1) or look(*args, **more))
    dyed, mask, overlay = (pixels for pixels, _ in dyer.pictures(Photo(group_pixels), SETTINGS))
    wanted = mask_pixels(stylist.segment(group_pixels, heads=heads, refine=refine))
    np.testing.assert_array_equal(mask, wanted)
    np.testing.assert_array_equal(overlay, overlay_pixels(group_pixels, wanted))
    wanted = stylist.dye(group_pixels, given, *SETTINGS[1:], heads=heads, refine=refine)
    np.testing.assert_array_equal(dyed, wanted)
    assert looks == [1]


def test_a_small_head_of_a_large_jpeg_is_in_a_mask_alone(group_pixels: np.ndarray, tmp_path: Path) -> None:
    wall = np.full((1500, 2000, 3), (120, 140, 150), np.uint8)
    wall[300:660, 200:1200] = group_pixels
    Image.fromarray(wall).save(tmp_path / "x.jpg", quality=95)
    dye_set([tmp_path / "x.jpg"], tmp_path / "out", Recipe(save=("mask",)))
    with Image.open(tmp_path / "out" / "x_mask.png") as mask:
        found = np.array(mask)
    np.testing.assert_array_equal(found, mask_pixels(HairStylist().segment(tmp_path / "x.jpg")))
    assert (found[300:660, 200:1200] > 128).mean() > 0.03


def test_recipes_that_differ_have_digests_that_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipes = [
        Recipe(), Recipe(heads="whole"), Recipe(heads=(0,)), Recipe(heads=(0, 1)), Recipe(heads=(1, 0)),
        Recipe(head_colors=(0.1,)), Recipe(head_colors=(0.1, 0.2)), Recipe(method="natural"), Recipe(refine=None),
    ]  # fmt: skip
    assert len({one.digest() for one in recipes}) == len(recipes)
    assert Recipe(tiles=True, color=0.9).digest() == Recipe().digest()
    before, checkpoint = Recipe().digest(), tmp_path / "student.onnx"
    checkpoint.write_bytes(bundled("default.onnx").read_bytes())
    by_checkpoint = Recipe(checkpoint=str(checkpoint)).digest()
    other = tmp_path / "heads.onnx"
    other.write_bytes(bundled_heads().read_bytes() + b"x")
    monkeypatch.setattr(recipe, "bundled_heads", lambda: other)
    assert Recipe().digest() != before
    assert Recipe(checkpoint=str(checkpoint)).digest() != by_checkpoint
    checkpoint.unlink()
    with pytest.raises(InputError, match=r"checkpoint .*student\.onnx: cannot be read \(No such file or directory\)"):
        Recipe(checkpoint=str(checkpoint)).digest()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": "all"}, "heads: got 'all', allowed are 'auto', 'whole' and a tuple of indices from 0, each once"),
        ({"heads": ()}, r"heads: got \(\)"),
        ({"heads": (0, -1)}, r"heads: got \(0, -1\)"),
        ({"heads": (1, 1)}, r"heads: got \(1, 1\)"),
        ({"head_colors": ()}, r"head_colors: got \(\), allowed is a tuple of one or more numbers from 0 to 1"),
        ({"head_colors": (0.5, 1.5)}, r"head_colors: got \(0.5, 1.5\)"),
        ({"head_colors": 0.5}, "head_colors: got 0.5"),
    ],
)
def test_what_no_recipe_can_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


def test_photos_without_hair_are_counted(group_pixels: np.ndarray, tmp_path: Path) -> None:
    """In files and in shards; masks alone count too; of a shard that fails as a whole nothing does."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 48), (90, 120, 200)).save(folder / f"{name}.png")
    Image.fromarray(group_pixels).save(folder / "c.png")
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(folder.iterdir()):
            shard.add(path, path.name)
    for number, save in enumerate((("dyed",), ("mask",))):
        for source in (folder, tmp_path / "shard.tar"):
            out = tmp_path / f"out{number}"
            summary = dye_set([source], out, Recipe(save=save))
            assert (summary.done, summary.failed, summary.without_hair) == (3, 0, 2)
    whole = (tmp_path / "shard.tar").read_bytes()
    (tmp_path / "shard.tar").write_bytes(whole[: len(whole) - 12000])
    summary = dye_set([tmp_path / "shard.tar"], tmp_path / "cut")
    assert (summary.done, summary.failed > 0, summary.without_hair) == (0, True, 0)


def test_a_head_that_is_not_there_is_no_photo_without_hair(group_pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(group_pixels).save(tmp_path / "a.png")
    summary = dye_set([tmp_path / "a.png"], tmp_path / "out", Recipe(heads=(3,), save=("dyed", "mask", "overlay")))
    assert (summary.done, summary.without_hair) == (1, 0)
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a.png").pixels, group_pixels)
    assert not np.array(Image.open(tmp_path / "out" / "a_mask.png")).any()
    with closing(sqlite3.connect(tmp_path / "out" / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        (notes,) = manifest.execute("SELECT notes FROM photos").fetchone()
    assert notes == "no head 4 (heads found: 3); left unchanged"


@pytest.fixture
def older(portrait: Path, tmp_path: Path) -> Path:
    """The output folder of a set whose manifest is of before heads were looked for."""
    out = tmp_path / "out"
    assert dye_set([portrait], out).done == 1
    (out / "portrait.png").write_bytes(b"as it was made")
    with closing(sqlite3.connect(out / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        manifest.execute("PRAGMA user_version = 0")
        manifest.execute("UPDATE files SET recipe = 'of before', bytes = 14")
        manifest.commit()
    return out


@pytest.mark.parametrize("how", [How(), How(dry_run=True), How(skip_existing=True)])
def test_a_manifest_of_before_is_refused_with_both_ways_on(portrait: Path, older: Path, how: How) -> None:
    manifest = older / ".ohlora-fast" / "manifest.sqlite"
    before = sorted(path.name for path in manifest.parent.iterdir())
    for _ in range(2):  # nor has the first attempt made it one of today
        with pytest.raises(InputError) as refused:
            dye_set([portrait], older, how=how)
        assert str(refused.value) == (
            f"manifest {manifest}: it was begun by a version that did not look for heads; give another output "
            "folder, or --overwrite to make all of its photos again"
        )
    assert (older / "portrait.png").read_bytes() == b"as it was made"
    assert sorted(path.name for path in manifest.parent.iterdir()) == before


def test_both_ways_on(portrait: Path, portrait_pixels: np.ndarray, older: Path) -> None:
    assert dye_set([portrait], older.with_name("other")).done == 1
    assert dye_set([portrait], older, how=How(overwrite=True)).done == 1
    np.testing.assert_array_equal(read_photo(older / "portrait.png").pixels, HairStylist().dye(portrait_pixels))
    assert dye_set([portrait], older).earlier == 1


@pytest.mark.filterwarnings("ignore:no hair found")
def test_photos_of_one_shape_that_go_together(group_pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a GPU takes several at once: groups, one head and none."""
    dyer, stylist = Dyer(Recipe(refine=None)), HairStylist(threads=1)
    monkeypatch.setattr(dyer, "_together", Together(dyer._try_dye))
    one = group_pixels.copy()
    one[:, 340:] = one[0, 0]
    photos = [group_pixels, one, np.roll(group_pixels, 7, axis=1), np.zeros_like(one)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda photo: dyer.pictures(Photo(photo), SETTINGS)[0][0], photos))
    for photo, dyed in zip(photos, made, strict=True):
        np.testing.assert_array_equal(dyed, stylist.dye(photo, *SETTINGS))


def test_encoded_photos_of_a_recipe_with_heads(group_pixels: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(group_pixels).save(file, "PNG")
    made = Dyer(Recipe(heads=(1,))).make(file, "a.png", None, SETTINGS)
    found = np.asarray(Image.open(io.BytesIO(made.files[0])))
    np.testing.assert_array_equal(found, HairStylist().dye(group_pixels, *SETTINGS, heads=[1]))
    assert (made.notes, made.without_hair) == ((), False)

"""AVIF and HEIC: read and written, with EXIF and profile, upright, of any depth, alone and in sets."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags, Image, features

from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import MAX_PIXELS, decode_photo, output_format, read_photo, write_photo

from ..conftest import display_p3

if not features.check("avif"):
    pytest.skip("this Pillow has no AVIF", allow_module_level=True)
pillow_heif = pytest.importorskip("pillow_heif")

ICC = display_p3()
SCENE = np.stack(np.meshgrid(np.arange(0, 240, 4), np.arange(0, 160, 4), [90]), -1)[:, :, 0].astype(np.uint8)
SUFFIXES = [".avif", ".heic"]


def stored(path: Path, pixels: np.ndarray, exif: Image.Exif | None = None, icc: bytes | None = None) -> Path:
    """Write a file with the libraries alone."""
    image = Image.fromarray(pixels)
    block = exif.tobytes() if exif else b""
    if path.suffix == ".avif":
        image.save(path, quality=95, exif=block, icc_profile=icc)
    else:
        heif = pillow_heif.from_pillow(image)
        heif[0].info |= {"exif": block} if block else {}
        heif.save(path, quality=95, **({"icc_profile": icc} if icc else {}))
    return path


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".heif", ".hif", ".HEIC"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    write_photo(tmp_path / f"x{suffix}", SCENE)
    photo = read_photo(tmp_path / f"x{suffix}")
    assert photo.format == output_format(f"x{suffix}")
    assert photo.notes == ()
    assert np.abs(photo.pixels.astype(int) - SCENE).mean() < 3


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright_with_exif_and_profile(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = orientation, "Maker"
    turned = np.ascontiguousarray(np.rot90(SCENE, {1: 0, 3: 2, 6: 1, 8: 3}[orientation]))
    photo = read_photo(stored(tmp_path / f"x{suffix}", turned, exif, ICC))
    assert photo.pixels.shape == SCENE.shape
    assert np.abs(photo.pixels.astype(int) - SCENE).mean() < 3
    for name in ("same" + suffix, "other.jpg"):
        write_photo(tmp_path / name, photo.pixels, like=photo)
        again = read_photo(tmp_path / name)
        assert np.abs(again.pixels.astype(int) - SCENE).mean() < 4
        assert again.icc_profile == ICC
        kept = Image.Exif()
        kept.load(again.exif or b"")
        assert dict(kept) == {ExifTags.Base.Make: "Maker"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha(tmp_path: Path, suffix: str) -> None:
    alpha = np.where(np.arange(SCENE.shape[1]) < 20, 0, 200).astype(np.uint8)
    write_photo(tmp_path / f"x{suffix}", np.dstack([SCENE, np.broadcast_to(alpha, SCENE.shape[:2])]))
    read = read_photo(tmp_path / f"x{suffix}").pixels[..., 3].astype(int)
    assert np.abs(read - alpha).max() <= 12


def test_ten_bits_of_heic_are_told(tmp_path: Path) -> None:
    values = SCENE.astype(np.uint16) * 257
    image = pillow_heif.from_bytes("RGB;16", (SCENE.shape[1], SCENE.shape[0]), values.tobytes())
    image.save(tmp_path / "x.heic", quality=95)
    photo = read_photo(tmp_path / "x.heic")
    assert photo.notes == ("it has 10 bits a channel; 8 are kept",)
    assert np.abs(photo.pixels.astype(int) - SCENE).mean() < 4


def test_ten_bits_of_avif_are_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.avif"), "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuv420p10le"
        pixels = np.full((128, 256, 3), (200, 120, 60), np.uint8)
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(pixels)), *stream.encode()]:
            container.mux(packet)
    photo = read_photo(tmp_path / "x.avif")
    assert photo.notes == ("it has 10 bits a channel; 8 are kept",)
    assert np.abs(photo.pixels.mean((0, 1)) - (200, 120, 60)).max() < 6


def test_a_gain_map_is_told(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.heic", SCENE)
    data = path.read_bytes()
    brands = data[16 : int.from_bytes(data[:4], "big")]
    path.write_bytes(data.replace(brands, brands[:-4] + b"tmap", 1))
    assert b"tmap" in path.read_bytes()
    assert read_photo(path).notes == ("its gain map, for HDR screens, is dropped",)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_cut_short(tmp_path: Path, suffix: str, share: float) -> None:
    data = stored(tmp_path / f"x{suffix}", SCENE).read_bytes()
    with pytest.raises(InputError, match=r"cannot read cut: it is corrupt, cut short"):
        decode_photo(io.BytesIO(data[: int(share * len(data))]), "cut")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_large(tmp_path: Path, suffix: str) -> None:
    path = stored(tmp_path / f"x{suffix}", SCENE)
    with pytest.raises(InputError, match=r"60×40 = 2,400 pixels; allowed are at most 2,399"):
        read_photo(path, max_pixels=2399)
    assert read_photo(path, max_pixels=MAX_PIXELS).pixels.shape == (40, 60, 3)


def test_without_pillow_heif_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "x.heic", SCENE)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    advice = r"HEIC needs pillow-heif .*; pip install 'ohlora-fast\[heif\]'"
    with pytest.raises(InputError, match=rf"cannot read .*x\.heic: {advice}"):
        read_photo(path)
    with pytest.raises(InputError, match=rf"cannot write y\.heic: {advice}"):
        output_format("y.heic")


def test_sets_take_them(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.avif", "b.heic"):
        stored(tmp_path / "in" / name, portrait_pixels, icc=ICC)
    summary = dye_set([tmp_path / "in"], tmp_path / "out", Recipe(color=0.9, ombre_height=1.0))
    assert (summary.done, summary.failed, summary.without_hair) == (2, 0, 0)
    for name in ("a.avif", "b.heic"):
        before, after = read_photo(tmp_path / "in" / name), read_photo(tmp_path / "out" / name)
        assert (after.format, after.icc_profile) == (before.format, ICC)
        assert np.abs(after.pixels.astype(int) - before.pixels).mean() > 5

"""Damaged files, times and depths: what cannot be kept is left out and named, and the rest stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist, InputError
from ohlora_fast.media.encoding import Encoding
from ohlora_fast.video import dye_video

from .conftest import frames_of, packets_of

Clip = Callable[..., Path]

MS = Fraction(1, 1000)
SHOWN_MS = (2000, 1500, 300, 4000)
"""For how long each frame is shown, the last one the longest."""

HLG, PQ, BT2020 = 18, 16, 9


def film(path: Path, pixel_format: str = "yuv420p", sound_s: float = 0, codec: str = "libx264") -> Path:
    """Write a video whose frames are shown for `SHOWN_MS`, as the encoder is told."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, 25)
        stream.width = stream.height = 64
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = MS
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        heard = out.add_stream("aac", 48_000, layout="mono") if sound_s else None
        for number, shown in enumerate(SHOWN_MS):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 60 * number, np.uint8))
            frame.pts, frame.duration, frame.time_base = sum(SHOWN_MS[:number]), shown, MS
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if heard is not None:
            wave = np.sin(np.arange(int(48_000 * sound_s)) / 20).astype(np.float32)[None]
            tone = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            tone.sample_rate = 48_000
            out.mux(heard.encode(tone))
            out.mux(heard.encode())
    return path


def seconds_of(path: Path) -> tuple[list[float], float]:
    """The frames' times, and when the file ends."""
    with av.open(str(path)) as container:
        end = container.duration / av.time_base
    return [round(float(frame.time or 0), 3) for frame in frames_of(path)], end


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("kind", ["a.gif", "a.apng", "a.mkv", "a.mp4", "a.webm"])
def test_the_last_frame_keeps_its_time(stylist: HairStylist, tmp_path: Path, kind: str, suffix: str) -> None:
    source, out = tmp_path / kind, tmp_path / f"out{suffix}"
    if source.suffix in (".gif", ".apng"):
        first, *rest = (Image.new("RGB", (64, 64), (60 * number, 0, 0)) for number in range(4))
        first.save(source, format=kind[2:].replace("apng", "png"), save_all=True, append_images=rest, duration=SHOWN_MS)
    else:
        film(source, codec="libvpx-vp9" if source.suffix == ".webm" else "libx264")
    assert dye_video(source, out, stylist=stylist).notes == ()
    assert seconds_of(out) == ([0, 2, 3.5, 3.8], pytest.approx(7.8, abs=0.002))
    again = tmp_path / f"again{suffix}"
    dye_video(out, again, stylist=stylist)
    assert seconds_of(again) == ([0, 2, 3.5, 3.8], pytest.approx(7.8, abs=0.002))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("sound_s", [3, 10])
def test_sound_may_end_before_or_after_the_pictures(
    stylist: HairStylist, tmp_path: Path, suffix: str, sound_s: float
) -> None:
    source, out = film(tmp_path / "in.mkv", sound_s=sound_s), tmp_path / f"out{suffix}"
    dye_video(source, out, stylist=stylist)
    times, end = seconds_of(out)
    assert times == pytest.approx([0, 2, 3.5, 3.8], abs=0.03)  # both begin later by the encoder's delay, in some files
    assert end == pytest.approx(max(7.8, sound_s), abs=0.06)
    assert [content for _, _, content in packets_of(out, "audio")] == [
        content for _, _, content in packets_of(source, "audio")
    ]
    film_alone = tmp_path / "alone.mp4"
    dye_video(out, film_alone, stylist=stylist)
    with av.open(str(film_alone)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(7.8, abs=0.002)


def test_a_file_that_cannot_tell_the_last_frame_s_time_is_named(stylist: HairStylist, tmp_path: Path) -> None:
    done = dye_video(film(tmp_path / "in.mkv"), tmp_path / "out.ts", stylist=stylist)
    assert done.notes == ("its last frame is to be shown for 4.00 s, which .ts files do not tell",)


@pytest.mark.parametrize(
    ("suffix", "codec", "bits", "notes"),
    [
        (".webm", None, "yuv420p10le", ()),
        (".mp4", None, "yuv420p10le", ()),
        (".mkv", "libx265", "yuv420p10le", ()),
        (".webm", "libvpx-vp9", "yuv420p", ("its 10 bits become 8: libvpx-vp9 takes no more",)),
        (".mp4", "mpeg4", "yuv420p", ("its 10 bits become 8: mpeg4 takes no more",)),
    ],
)
def test_ten_bits_of_hlg_stay_or_are_named(
    clip: Clip,
    stylist: HairStylist,
    capfd: pytest.CaptureFixture[str],
    suffix: str,
    codec: str | None,
    bits: str,
    notes: tuple[str, ...],
) -> None:
    source = clip(
        "in.mkv", pixel_format="yuv420p10le", colors=(1, BT2020), color_primaries=BT2020, color_trc=HLG
    )  # fmt: skip
    out = source.with_name(f"out{suffix}")
    assert dye_video(source, out, stylist=stylist, encoding=Encoding(codec)).notes == notes
    first, *others = frames_of(out)
    assert len(others) == 5
    assert (first.format.name, first.color_trc, first.color_primaries, first.colorspace) == (bits, HLG, BT2020, BT2020)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pixel_format", "codec", "note"),
    [
        ("yuv420p16le", None, "its 16 bits become 10: libx264 takes no more"),
        ("gray16le", None, "its 16 bits become 10: libx264 takes no more"),
        ("yuv444p", "mpeg4", "its colour becomes coarser, 4:2:0 in place of 4:4:4"),
    ],
)
def test_what_the_encoder_cannot_hold_is_named(
    clip: Clip, stylist: HairStylist, pixel_format: str, codec: str | None, note: str
) -> None:
    source = clip("in.mkv", codec="ffv1", pixel_format=pixel_format)
    assert dye_video(source, source.with_name("o.mkv"), stylist=stylist, encoding=Encoding(codec)).notes == (note,)


def test_hdr_metadata_beside_the_colour_tags_are_named(clip: Clip, stylist: HairStylist) -> None:
    display = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1)"
    params = f"log-level=none:hdr10=1:max-cll=1000,400:master-display={display}"
    source = clip(
        "in.mkv", codec="libx265", pixel_format="yuv420p10le", colors=(1, BT2020), color_primaries=BT2020, color_trc=PQ,
        options={"x265-params": params},
    )  # fmt: skip
    done = dye_video(source, source.with_name("out.mkv"), stylist=stylist)
    assert done.notes == (
        "its HDR metadata beyond the colour tags is left out: mastering display, content light level",
    )
    first, *_ = frames_of(source.with_name("out.mkv"))
    assert (first.format.name, first.color_trc) == ("yuv420p10le", PQ)


@pytest.mark.parametrize("alpha", [255, 200])
@pytest.mark.parametrize("pixel_format", ["bgra", "yuva420p", "yuva444p10le"])
def test_transparency_is_named_where_there_is_some(
    stylist: HairStylist, tmp_path: Path, pixel_format: str, alpha: int
) -> None:
    """In the last frame alone."""
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream("ffv1", 25)
        stream.width = stream.height = 64
        stream.pix_fmt = pixel_format
        for number in range(3):
            pixels = np.full((64, 64, 4), 255, np.uint8)
            pixels[5, 7, 3] = alpha if number == 2 else 255
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pixel_format)))
        out.mux(stream.encode())
    notes = dye_video(tmp_path / "in.mkv", tmp_path / "out.mp4", stylist=stylist).notes
    assert ("its transparency is left out" in notes) == (alpha < 255)


def damage(path: Path, numbers: Sequence[int], kind: str = "video") -> Path:
    """Put zeros in the place of packets, or, of sound, of their beginning: containers may store the rest elsewhere."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]
    content, place = bytearray(path.read_bytes()), 0
    chosen = {number % len(packets) for number in numbers}
    for number, packet in enumerate(packets):
        start = packet if kind == "video" else packet[:100]
        place = content.index(start, place)
        if number in chosen:
            content[place : place + len(start)] = bytes(len(start))
        place += len(start)
    path.write_bytes(content)
    return path


@pytest.fixture
def noise() -> list[np.ndarray]:
    """Thirty frames, in each of which a part is new."""
    frames = np.random.default_rng(0).integers(0, 256, (30, 96, 128, 3), np.uint8)
    frames[:, :64] = frames[0, :64]
    return list(frames)


ENCODERS = {
    "libx264": ("yuv420p", {"bf": "0", "sc_threshold": "0"}),
    "libx265": ("yuv420p", {"x265-params": "log-level=none:bframes=0:scenecut=0"}),
    "libvpx-vp9": ("yuv420p", {"deadline": "realtime"}),
    "libsvtav1": ("yuv420p", {"preset": "10"}),
    "mjpeg": ("yuvj420p", {}),
}
"""Encoder → pixel format, and options with which frames are stored in the order that they are shown in."""


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.mp4", "libx265"),
        ("a.webm", "libvpx-vp9"),
        ("a.mkv", "libsvtav1"),
        ("a.mov", "mjpeg"),
    ],
)
@pytest.mark.parametrize("numbers", [(15,), (-1,), (-2,), (10, 20, 25)])
def test_a_packet_that_cannot_be_decoded_is_left_out(
    stylist: HairStylist, clip: Clip, noise: list[np.ndarray], name: str, codec: str, numbers: tuple[int, ...]
) -> None:
    """All others stay, whose times are what they were, and the end as well."""
    pixel_format, options = ENCODERS[codec]
    whole = clip(name, noise, codec=codec, pixel_format=pixel_format, options=options)
    wanted = [frame.time for frame in frames_of(whole)]
    damage(whole, numbers)
    out = whole.with_name("out.mp4")
    done = dye_video(whole, out, stylist=stylist)
    assert done.frames == 30 - len(numbers)
    assert done.notes[0] == (
        f"{len(numbers)} of its frames cannot be decoded, and are left out; those after them may be damaged"
    )
    kept = [time for number, time in enumerate(wanted) if number not in {index % 30 for index in numbers}]
    times, end = seconds_of(out)
    assert times == pytest.approx(kept, abs=0.002)
    assert end == pytest.approx(1.2, abs=0.002)


def test_a_film_whose_first_packet_cannot_be_decoded_begins_later(
    stylist: HairStylist, clip: Clip, noise: list[np.ndarray]
) -> None:
    source = damage(clip("in.mkv", noise, crf=20, sound=True, gop_size=10), [0])
    out = source.with_name("out.mkv")
    notes = dye_video(source, out, stylist=stylist).notes
    missing = 30 - len(frames_of(out))
    assert 1 <= missing <= 10
    assert notes[0].startswith(f"{missing} of its frames cannot be decoded")
    assert seconds_of(out)[0][0] == pytest.approx(missing * 0.04, abs=0.03)
    assert packets_of(out, "audio") == packets_of(source, "audio")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mov", "mjpeg")])
def test_a_film_of_which_nothing_can_be_decoded_is_an_error(
    stylist: HairStylist, clip: Clip, noise: list[np.ndarray], name: str, codec: str
) -> None:
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = damage(clip(name, noise, codec=codec, pixel_format=pixel_format, crf=20), range(30))
    with pytest.raises(InputError, match=f"cannot read .*{name}: nothing in it can be decoded: Invalid data"):
        dye_video(source, source.with_name("out.mp4"), stylist=stylist)
    assert [path.name for path in source.parent.iterdir()] == [name]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("numbers", [(0,), (20,), (10, 11, 30)])
def test_damaged_sound_loses_no_pictures(
    stylist: HairStylist, clip: Clip, numbers: tuple[int, ...], suffix: str
) -> None:
    source = clip("in.ts", sound=True)
    before = packets_of(source, "audio")
    damage(source, numbers, "audio")
    done = dye_video(source, source.with_name(f"out{suffix}"), stylist=stylist)
    assert done.frames == 6
    after = packets_of(source.with_name(f"out{suffix}"), "audio")
    assert len(before) - 2 * len(numbers) <= len(after) <= len(before)
    found = [int(note.split()[0]) for note in done.notes if "of its packets of sound" in note]
    assert sum(found) <= len(numbers)
    assert bool(found) or suffix == ".ts"


def test_sound_that_a_ts_file_cannot_mark_is_an_error(stylist: HairStylist, clip: Clip, tmp_path: Path) -> None:
    """FFmpeg writes it, as data that no player plays."""
    with av.open(str(clip("film.mkv"))) as film, av.open(str(tmp_path / "in.mkv"), "w") as out:
        copy, heard = out.add_stream_from_template(film.streams[0]), out.add_stream("pcm_s16le", 48_000, layout="mono")
        for packet in film.demux():
            if packet.dts is not None or packet.size:
                packet.stream = copy
                out.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), "s16", "mono")
        tone.sample_rate = 48_000
        out.mux(heard.encode(tone))
        out.mux(heard.encode())
    with pytest.raises(InputError, match=r"\.ts files hold no pcm_s16le sound; \.mkv do"):
        dye_video(tmp_path / "in.mkv", tmp_path / "out.ts", stylist=stylist)
    dye_video(tmp_path / "in.mkv", tmp_path / "out.mkv", stylist=stylist)
    assert packets_of(tmp_path / "out.mkv", "audio") == packets_of(tmp_path / "in.mkv", "audio")

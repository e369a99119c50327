"""From file to file: what is kept, what is dyed, and that nothing half-done is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from ohlora_fast import HairStylist, InputError, NaturalDye, Ombre
from ohlora_fast.media.encoding import Encoding
from ohlora_fast.media.frames import planes_of, rgb_of
from ohlora_fast.ops.ombre_op import hair_rows, hue_colors
from ohlora_fast.ops.planes_op import Yuv, dye_planes_numpy, row_weights
from ohlora_fast.video import Keyframes, dye_video
from ohlora_fast.video.ahead import THREAD
from ohlora_fast.video.dyer import FrameDyer

from .conftest import frames_of, packets_of

LOSSLESS = Encoding(crf=0)
ALL = Ombre(0.9, 1.0, 0.0)
Clip = Callable[..., Path]


def dyed(source: Path, out: str = "out.mp4", ombre: Ombre | Keyframes = ALL, **options: object) -> Path:
    path = source.with_name(out)
    dye_video(source, path, ombre, **({"encoding": LOSSLESS} | options))  # type: ignore[arg-type]
    return path


def arrays(frame: av.VideoFrame) -> list[np.ndarray]:
    return [plane.astype(int) for plane in planes_of(frame)]


def test_hair_is_dyed_and_the_rest_keeps_every_bit(clip: Clip, stylist: HairStylist) -> None:
    source = clip()
    for before, after in zip(frames_of(source), frames_of(dyed(source, smooth=0, stylist=stylist)), strict=True):
        prob = stylist.segment_map(rgb_of(before))
        top, bottom = hair_rows(prob[None], 96, 128)[0]
        wanted = [plane.copy() for plane in planes_of(before)]
        weight = row_weights(top, bottom, 1.0, 0.0, 96)
        dye_planes_numpy(wanted, stylist.segment(rgb_of(before)), weight, hue_colors(np.array([0.9]))[0], Yuv())
        changes = [abs(now - was) for now, was in zip(arrays(after), arrays(before), strict=True)]
        assert changes[0].max() > 10
        assert (changes[0] == 0).mean() > 0.6
        for got, plane in zip(arrays(after), wanted, strict=True):
            assert abs(got - plane.astype(int)).max() <= 1
            assert (got != plane).mean() < 0.002


@pytest.mark.parametrize(
    "method", ["natural", NaturalDye("copper", lift=0.8, direction="flow", highlights="gold", undercolor="teal")]
)
def test_natural_dyeing_is_that_of_photos(clip: Clip, stylist: HairStylist, method: str | NaturalDye) -> None:
    source = clip(pixel_format="yuv444p")
    out = dyed(source, smooth=0, stylist=stylist, method=method)
    for before, after in zip(frames_of(source), frames_of(out), strict=True):
        wanted = stylist.dye(rgb_of(before), 0.9, 1.0, 0.0, method=method)
        assert abs(rgb_of(after).astype(int) - wanted).max() <= 6  # what rounding makes of it, there and back
        bald = stylist.segment(rgb_of(before)) < 0.5
        for now, was in zip(arrays(after), arrays(before), strict=True):
            assert (now == was)[bald].all()


def test_natural_dyeing_keeps_ten_bits(clip: Clip, stylist: HairStylist) -> None:
    source = clip(pixel_format="yuv420p10le")
    for before, after in zip(
        frames_of(source), frames_of(dyed(source, stylist=stylist, method="natural")), strict=True
    ):
        changed = abs(arrays(after)[0] - arrays(before)[0]) > 8  # 10 bits are not encoded without loss
        assert after.format.name == "yuv420p10le"
        assert 0.05 < changed.mean() < 0.5
        assert len(np.unique(planes_of(after)[0][changed] % 4)) == 4


@pytest.mark.parametrize("smooth", [0, 0.9])
def test_what_is_measured_of_the_hair_is_smoothed(
    stylist: HairStylist, moving: list[np.ndarray], smooth: float
) -> None:
    """In a light that flickers the hair's mean lightness does as well, unless it is smoothed."""
    dyer, means = FrameDyer(stylist, smooth, method=NaturalDye(highlights="gold")), []
    for number in range(6):
        pixels = np.clip(moving[0] * (1 + 0.05 * (-1) ** number), 0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels).reformat(format="yuv420p")
        dyer.dye(dyer.find(frame), lambda number: ALL)
        head = dyer.dyers[0, 0]
        assert head.measured is not None
        means.append(float(head.measured.mean))
    steps = abs(np.diff(means))
    assert (steps < 0.004).all() if smooth else (steps > 0.01).all(), steps


def test_times_and_sound_are_kept(clip: Clip, stylist: HairStylist) -> None:
    times = [45_000, 48_600, 49_000, 60_000, 61_001, 90_000]
    source = clip(times=times, sound=True)
    out = dyed(source, stylist=stylist)
    assert [frame.pts * frame.time_base * 90_000 for frame in frames_of(out)] == times
    assert len(packets_of(out, "audio")) > 30
    assert packets_of(out, "audio") == packets_of(source, "audio")


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".ts"])
def test_other_containers_keep_times(clip: Clip, stylist: HairStylist, suffix: str) -> None:
    source = clip(times=[0, 3600, 9000, 18_000, 36_000, 39_600], sound=True)
    out = dyed(source, f"out{suffix}", stylist=stylist)
    times = [frame.time for frame in frames_of(out)]
    assert np.allclose(np.subtract(times, times[0]), [0, 0.04, 0.1, 0.2, 0.4, 0.44], atol=1e-3)
    for (_, _, now), (_, _, was) in zip(packets_of(out, "audio"), packets_of(source, "audio"), strict=True):
        assert now.endswith(was)  # .ts puts a header before


def test_ten_bits_stay_ten(clip: Clip, stylist: HairStylist) -> None:
    found = frames_of(dyed(clip(pixel_format="yuv420p10le"), stylist=stylist))
    assert {frame.format.name for frame in found} == {"yuv420p10le"}
    assert len(np.unique(planes_of(found[0])[0] % 4)) == 4


@pytest.mark.parametrize(
    ("codec", "pixel_format", "wanted"),
    [
        ("libx264", "yuv422p", "yuv422p"),
        ("libx264", "yuv444p", "yuv444p"),
        ("libx264", "yuvj420p", "yuvj420p"),
        ("ffv1", "yuv422p12le", "yuv422p10le"),
        ("ffv1", "gray", "yuvj420p"),
        ("ffv1", "bgra", "yuv420p"),
        ("png", "rgb24", "yuv420p"),
    ],
)
def test_pixel_formats(clip: Clip, stylist: HairStylist, codec: str, pixel_format: str, wanted: str) -> None:
    full = pixel_format in ("yuvj420p", "gray")
    name = "in.mov" if codec == "png" else "in.mkv"
    source = clip(name, codec=codec, pixel_format=pixel_format, colors=(2 if full else 1, 5))
    found = frames_of(dyed(source, "out.mkv", stylist=stylist))
    assert found[0].format.name == wanted
    assert len(found) == 6
    before, after = (rgb_of(frames[0]).astype(int) for frames in (frames_of(source), found))
    if pixel_format != "gray":
        assert abs(before - after)[60:].mean() < 3  # the suit
        assert abs(before - after)[10:40, 40:80].mean() > 10  # the hair


@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (-90, 3), (180, 2)])
def test_what_players_turn_is_turned(
    clip: Clip, stylist: HairStylist, moving: list[np.ndarray], turn: int, quarters: int
) -> None:
    lying = [np.ascontiguousarray(np.rot90(frame, -quarters)) for frame in moving]
    source = clip(frames=lying, turn=turn)
    upright = clip("upright.mp4")
    first, *_ = frames_of(dyed(source, stylist=stylist))
    wanted, *_ = frames_of(dyed(upright, "wanted.mp4", stylist=stylist))
    assert first.rotation == 0
    assert (first.height, first.width) == (96, 128)
    assert abs(rgb_of(first).astype(int) - rgb_of(wanted)).mean() < 2


def test_tags_and_titles_are_kept(clip: Clip, stylist: HairStylist) -> None:
    source = clip(colors=(2, 5), color_primaries=5, color_trc=6, sample_aspect_ratio=2)
    with av.open(str(dyed(source, stylist=stylist))) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (2, 5, 5, 6)
        assert stream.sample_aspect_ratio == 2
        assert container.metadata["title"] == "a head"
        assert stream.average_rate == 25


def test_an_odd_row_and_column_are_left_out(clip: Clip, stylist: HairStylist, moving: list[np.ndarray]) -> None:
    source = clip("in.mkv", [frame[:95, :127] for frame in moving], codec="ffv1")
    before, after = frames_of(source)[0], frames_of(dyed(source, stylist=stylist))[0]
    assert (after.height, after.width) == (94, 126)
    assert (planes_of(before)[0][80:94, :126] == planes_of(after)[0][80:]).all()


def test_keyframes_change_the_colour(clip: Clip, stylist: HairStylist) -> None:
    source = clip()
    red_to_blue = Keyframes.parse("0: color=red; 0.2: color=blue", ALL)
    found = [rgb_of(frame).astype(int) for frame in frames_of(dyed(source, ombre=red_to_blue, stylist=stylist))]
    before = [rgb_of(frame).astype(int) for frame in frames_of(source)]
    change = [(now - was)[10:40].mean((0, 1)) for now, was in zip(found, before, strict=True)]
    assert change[0][0] > change[0][2] + 3
    assert change[-1][2] > change[-1][0] + 3


def test_keyframes_move_natural_dyeing_but_not_colours_of_its_own(clip: Clip, stylist: HairStylist) -> None:
    source = clip()
    rising = Keyframes.parse("0: ombre-height=0, color=0.9; 0.2: ombre-height=1, color=0.3", ALL)
    found = [
        rgb_of(frame).astype(int) for frame in frames_of(dyed(source, ombre=rising, stylist=stylist, method="natural"))
    ]
    before = [rgb_of(frame).astype(int) for frame in frames_of(source)]
    change = [(now - was)[10:40] for now, was in zip(found, before, strict=True)]
    assert abs(change[0]).mean() < 0.2
    assert change[-1].mean((0, 1))[1] > change[-1].mean((0, 1))[0] + 3
    with pytest.raises(InputError, match="keyframes: color came, but the dye is 'copper'; allowed are the heights"):
        dyed(source, "x.mp4", rising, stylist=stylist, method=NaturalDye("copper"))


def test_subtitles_are_kept_where_the_file_takes_them(clip: Clip, stylist: HairStylist, tmp_path: Path) -> None:
    (tmp_path / "said.srt").write_text("1\n00:00:00,000 --> 00:00:00,200\nHello\n\n")
    source = tmp_path / "both.mkv"
    with av.open(str(clip())) as film, av.open(str(tmp_path / "said.srt")) as text, av.open(str(source), "w") as out:
        for container in (film, text):
            copy = out.add_stream_from_template(container.streams[0])
            copy.metadata["language"] = "fra"
        for container, stream in zip((text, film), (out.streams[1], out.streams[0]), strict=True):
            for packet in container.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    mkv = dyed(source, "out.mkv", stylist=stylist)
    assert packets_of(mkv, "subtitle") == packets_of(source, "subtitle")
    with av.open(str(mkv)) as container:
        assert [stream.language for stream in container.streams] == ["fra", "fra"]
    done = dye_video(source, tmp_path / "out.mp4", stylist=stylist)
    assert done.notes == ("the subtitle stream 1 (subrip) is left out: .mp4 files hold none",)


def test_a_cover_is_no_film(clip: Clip, stylist: HairStylist, moving: list[np.ndarray], tmp_path: Path) -> None:
    source = tmp_path / "cover.mp4"
    with av.open(str(clip("film.mp4"))) as film, av.open(str(source), "w") as out:
        cover = out.add_stream("mjpeg", 25)
        cover.height, cover.width, cover.pix_fmt = 96, 128, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copy = out.add_stream_from_template(film.streams[0])
        out.mux(cover.encode(av.VideoFrame.from_ndarray(moving[0])))
        out.mux(cover.encode())
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    done = dye_video(source, tmp_path / "out.mkv", stylist=stylist)
    assert done.notes == ("the video stream 1 (mjpeg) is left out: .mkv files hold none",)
    with av.open(str(dyed(source, stylist=stylist))) as container:
        kinds = [(stream.codec_context.name, bool(stream.disposition & 1024)) for stream in container.streams]
    assert sorted(kinds) == [("h264", False), ("mjpeg", True)]


def test_no_sound_is_lost_in_silence(clip: Clip, stylist: HairStylist) -> None:
    with pytest.raises(InputError, match=r"\.webm files hold no aac sound"):
        dyed(clip(sound=True), "out.webm", stylist=stylist, encoding=Encoding())


@pytest.mark.parametrize("frame", [1, 4])
def test_what_is_interrupted_leaves_nothing(clip: Clip, stylist: HairStylist, frame: int) -> None:
    source = clip(sound=True)

    def interrupt(done: int, total: int | None) -> None:
        assert total == 6
        if done == frame:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dyed(source, stylist=stylist, progress=interrupt)
    assert [path.name for path in source.parent.iterdir()] == ["in.mp4"]
    assert THREAD not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "sound"])
def test_what_cannot_be_read_is_named(clip: Clip, stylist: HairStylist, tmp_path: Path, damage: str) -> None:
    source = clip(f"{damage}.mkv", sound=True)
    content = source.read_bytes()
    if damage == "sound":
        with av.open(str(tmp_path / "in.wav"), "w") as out:
            stream = out.add_stream("pcm_s16le", 8000, layout="mono")
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
            tone.sample_rate = 8000
            out.mux(stream.encode(tone))
        source.write_bytes((tmp_path / "in.wav").read_bytes())
        (tmp_path / "in.wav").unlink()
    else:
        source.write_bytes({"text": b"no video", "empty": b"", "cut": content[: len(content) // 3]}[damage])
    with pytest.raises(InputError, match=f"cannot read .*{damage}.mkv"):
        dyed(source, stylist=stylist)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_frames_that_the_decoder_guessed_are_counted(
    clip: Clip, stylist: HairStylist, moving: list[np.ndarray]
) -> None:
    source = clip("in.mkv", crf=10)
    content = bytearray(source.read_bytes())
    content[len(content) // 3] ^= 0x55
    source.write_bytes(content)
    (note,) = dye_video(source, source.with_name("out.mp4"), stylist=stylist).notes
    assert "of its frames are damaged" in note


def test_the_source_is_never_overwritten(clip: Clip) -> None:
    source = clip()
    with pytest.raises(InputError, match="never overwritten"):
        dye_video(source, source, overwrite=True)


def test_an_existing_file_stays_unless_it_may_go(clip: Clip, stylist: HairStylist) -> None:
    source = clip()
    out = dyed(source, stylist=stylist)
    with pytest.raises(InputError, match="exists already"):
        dyed(source, stylist=stylist)
    assert dyed(source, stylist=stylist, overwrite=True) == out


def test_frames_without_hair_are_counted(clip: Clip, stylist: HairStylist) -> None:
    source = clip(frames=[np.full((96, 128, 3), 90, np.uint8)] * 3)
    out = source.with_name("out.mp4")
    assert dye_video(source, out, encoding=LOSSLESS, stylist=stylist).bald == 3
    for before, after in zip(frames_of(source), frames_of(out), strict=True):
        assert all((a == b).all() for a, b in zip(arrays(before), arrays(after), strict=True))

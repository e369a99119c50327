"""Carrying over what a video file has, and naming what the new one lacks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.encoding import bits_of, subsampling

if TYPE_CHECKING:
    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.media.video_reader import VideoReader

OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "rotate")
"""Metadata that say how a file was made."""

HDR = {
    "MASTERING_DISPLAY_METADATA": "mastering display",
    "CONTENT_LIGHT_LEVEL": "content light level",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
}
"""Data of libav's beside a frame → their names."""


def carried_over(reader: VideoReader, writer: VideoWriter) -> Iterator[str]:
    """Announce all but the film; yield what is left out."""
    kept = {name: text for name, text in reader.container.metadata.items() if name not in OF_THE_FILE}
    writer.describe(kept, reader.container.chapters(), reader.stream)
    for stream in reader.others:
        if writer.add_copy(stream):
            continue
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        if stream.type == "audio":
            raise InputError(f"cannot write {writer.path}: {writer.path.suffix} files hold no {codec} sound; .mkv do")
        yield f"the {stream.type} stream {stream.index} ({codec}) is left out: {writer.path.suffix} files hold none"


def converted(reader: VideoReader, writer: VideoWriter) -> Iterator[str]:
    """Yield what the encoder's pixel format and the file cannot hold of the first frame."""
    frame: Any = reader.first
    before, after = frame.format.name, writer.pixel_format
    if bits_of(after) < bits_of(before):
        yield f"its {bits_of(before)} bits become {bits_of(after)}: {writer.codec} takes no more"
    halved = {"444": 0, "422": 1, "420": 2}
    if subsampling(before) and halved[subsampling(after) or "420"] > halved[subsampling(before) or "420"]:
        yield f"its colour becomes coarser, 4:2:0 in place of {':'.join(subsampling(before) or '')}"
    beside = dict.fromkeys(HDR[data.type.name] for data in frame.side_data if data.type.name in HDR)
    if beside:
        yield f"its HDR metadata beyond the colour tags is left out: {', '.join(beside)}"


def lost(reader: VideoReader, writer: VideoWriter) -> Iterator[str]:
    """Yield what was lost of the frames and packets, after the last of them."""
    if reader.transparent or reader.stream.metadata.get("alpha_mode") == "1":
        yield "its transparency is left out"
    if reader.skipped:
        yield f"{reader.skipped} of its frames cannot be decoded, and are left out; those after them may be damaged"
    if reader.damaged:
        yield f"{reader.damaged} of its frames are damaged, and partly what the decoder made of them"
    if writer.refused:
        yield f"{writer.refused} of its packets of sound or subtitles are damaged, and left out"
    if not writer.keeps_end and reader.end is not None and reader.last_shown > 1.5 / reader.fps:
        yield (
            f"its last frame is to be shown for {float(reader.last_shown):.2f} s, which {writer.path.suffix} files do "
            "not tell"
        )

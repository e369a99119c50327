"""Dyeing a camera's frames as they come: what cannot be done in time is left out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ohlora_fast.media.encoding import encoder_format
from ohlora_fast.media.frames import Upright, rgb_of, upright
from ohlora_fast.media.video_reader import VideoReader
from ohlora_fast.video.dyer import FrameDyer
from ohlora_fast.video.settings import check_heads, in_turn

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.natural import NaturalDye
    from ohlora_fast.ombre import Ombre
    from ohlora_fast.stylist import HairStylist

Item = TypeVar("Item")

RECENT = 30
"""Frames over which speed and latency are averaged."""

JPEG_QUALITY = 85


class Latest(Generic[Item]):
    """Hands over the newest of what comes, to any number of threads; what nobody took in time is gone.

    >>> latest = Latest()
    >>> latest.put("a"); latest.put("b"); latest.end()
    >>> list(latest)
    ['b']
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Any = None
        self.count = 0
        self.ended = False

    def put(self, item: Item) -> None:
        """Replace what was there."""
        with self._changed:
            self._item, self.count = item, self.count + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """The newest item, then the newest whenever there is a newer one, until the end."""
        seen = 0
        while True:
            with self._changed:
                while self.count == seen and not self.ended:
                    self._changed.wait()
                if self.count == seen:
                    return
                item, seen = self._item, self.count
            yield item


@dataclass(frozen=True)
class Speed:
    """How it goes, of late.

    Attributes:
        fps: frames a second.
        latency_ms: from a frame's arrival to the dyed picture, the median.
        dropped: frames that were left out so far.
    """

    fps: float = 0.0
    latency_ms: float = 0.0
    dropped: int = 0


Record: TypeAlias = "Callable[[VideoReader, Upright], VideoWriter]"


class Live:
    """Dyes a camera, or a file at its own pace.

    Args:
        source: opens the camera or file, once a round.
        stylist: whose student finds the hair.
        ombre: settings to begin with.
        smooth: as of `MaskSmoother`.
        once: whether to stop at a file's end, rather than begin again.
        method: as of :meth:`ohlora_fast.HairStylist.dye`, one for all heads.
        heads: whose hair is dyed, as of :func:`ohlora_fast.video.dye_video`.
        colors: hues that heads take in turn, in place of the ombre's; None for that.

    Attributes:
        ombre: the settings of the next frame; any thread may set them.
        pictures: the newest dyed picture, as a JPEG.
        speed: how it goes.
    """

    def __init__(
        self,
        source: Callable[[], VideoReader],
        stylist: HairStylist,
        ombre: Ombre,
        smooth: float,
        once: bool = False,
        *,
        method: str | NaturalDye = "seed",
        heads: str | int | Sequence[int] = "auto",
        colors: Sequence[float] | None = None,
    ) -> None:
        self.source, self.stylist, self.ombre, self.smooth, self.once = source, stylist, ombre, smooth, once
        self.method, self.heads, self.colors = method, check_heads(heads), colors
        self.pictures: Latest[bytes] = Latest()
        self.speed = Speed()
        self._times: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop after the frame at hand."""
        self._stop.set()

    def run(self, record: Record | None = None) -> None:
        """Dye until `stop` is called, or the file ends.

        Args:
            record: given the reader and how frames are turned upright, makes a writer that gets the dyed frames.
        """
        try:
            while not self._stop.is_set():
                self._round(record)
                if self.once:
                    break
        finally:
            self.pictures.end()

    def _round(self, record: Record | None) -> None:
        with self.source() as reader:
            first: Any = reader.first
            form = upright(first, encoder_format("libx264", first.format.name), reader.aspect)
            dyer = FrameDyer(self.stylist, self.smooth, method=self.method, heads=self.heads)
            arrived: Latest[tuple[Any, float]] = Latest()
            failure: list[BaseException] = []
            feeder = threading.Thread(target=self._feed, args=(reader, arrived, failure), daemon=True)
            done = 0
            with record(reader, form) if record is not None else nullcontext() as writer:
                feeder.start()
                try:
                    for frame, since in arrived:
                        found = dyer.find(form.copy(frame))
                        dyed: Any = dyer.dye(found, self._settings())
                        self.pictures.put(jpeg(dyed))
                        done += 1
                        now = time.monotonic()
                        self._times.append((now, now - since))
                        self.speed = speed(self._times, arrived.count - done)
                        if writer is not None:
                            dyed.pts -= first.pts
                            writer.write_frame(dyed)
                        if self._stop.is_set():
                            break
                finally:
                    arrived.end()
                    feeder.join()
            if failure:
                raise failure[0]

    def _settings(self) -> Callable[[int], Ombre]:
        """The settings at this moment, of the head of a number."""
        ombre = self.ombre
        if self.colors is None:
            return lambda number: ombre
        hue_of = in_turn(self.colors, self.heads)
        return lambda number: replace(ombre, color=hue_of(number))

    def _feed(self, reader: VideoReader, arrived: Latest[tuple[Any, float]], failure: list[BaseException]) -> None:
        """Read frames, those of a file no sooner than they are to be shown."""
        start = time.monotonic()
        try:
            for item in reader.items():
                if self._stop.is_set() or arrived.ended:
                    break
                if not isinstance(item, type(reader.first)):
                    continue
                if reader.format is None:
                    frame: Any = item
                    first: Any = reader.first
                    due = start + float((frame.pts - first.pts) * reader.time_base)
                    self._stop.wait(max(due - time.monotonic(), 0))
                arrived.put((item, time.monotonic()))
        except BaseException as error:  # raised again where the frames are dyed
            failure.append(error)
        arrived.end()


def jpeg(frame: VideoFrame) -> bytes:
    """A frame as a JPEG."""
    import cv2

    _, content = cv2.imencode(".jpg", rgb_of(frame)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return content.tobytes()


def speed(times: deque[tuple[float, float]], dropped: int) -> Speed:
    """Speed from the times at which frames were done and how long each took since it came.

    >>> speed(deque([(1.0, 0.02), (1.1, 0.03), (1.2, 0.04)]), 5)
    Speed(fps=10.0, latency_ms=30.0, dropped=5)
    """
    seconds = times[-1][0] - times[0][0]
    fps = round((len(times) - 1) / seconds, 1) if seconds > 0 else 0.0
    return Speed(fps, round(1000 * median(took for _, took in times), 1), dropped)

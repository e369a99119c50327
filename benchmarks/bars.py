"""What was set out to be reached, and whether results reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ohlora_fast.benchmarks import (
    bench_dye,
    bench_heads,
    bench_memory,
    bench_ombre,
    bench_sets,
    bench_start,
    bench_student,
    bench_stylegan,
    bench_teacher,
    bench_video,
)
from ohlora_fast.benchmarks.result_file import value_of


@dataclass(frozen=True)
class Bar:
    """A limit on one provider's median, or on the ratio of two.

    Attributes:
        what: is held to the limit, in words.
        groups: results' groups that it is about begin so; the worst of them counts.
        of: a provider.
        over: what its median is divided by, another provider's; None: it counts as it is, in seconds.
        kind: whether the limit is the largest or the smallest value that will do.
        limit: the value.

    >>> bar = Bar("cherries to melons", "fruit, ", "cherry", "melon", "at most", 0.5)
    >>> bar.line({"groups": {"fruit, ripe": {"cherry": {"median_s": 3}, "melon": {"median_s": 4}}}})
    'MISSED: cherries to melons: 0.75×, at most 0.5×'
    >>> bar.line({"groups": {}})
    'not measured: cherries to melons, at most 0.5×'
    """

    what: str
    groups: str
    of: str
    over: str | None
    kind: Literal["at most", "at least"]
    limit: float

    def value(self, results: Mapping[str, Any]) -> float | None:
        """What was reached, or None if it was not measured."""
        needed = [self.of] if self.over is None else [self.of, self.over]
        found = []
        for group, sides in results["groups"].items():
            if group.startswith(self.groups) and all(provider in sides for provider in needed):
                medians = [value_of(sides[provider])[0] for provider in needed]
                found.append(medians[0] if self.over is None else medians[0] / medians[1])
        worst = max if self.kind == "at most" else min
        return worst(found) if found else None

    def met(self, value: float) -> bool:
        """Whether a value will do."""
        return value <= self.limit if self.kind == "at most" else value >= self.limit

    def line(self, results: Mapping[str, Any]) -> str:
        """One line on whether results keep to it."""
        unit = " s" if self.over is None else "×"
        limit = f"{self.kind} {self.limit:g}{unit}"
        value = self.value(results)
        if value is None:
            return f"not measured: {self.what}, {limit}"
        number = f"{value:.3g}" if value < 100 else f"{value:.0f}"
        return f"{'MET' if self.met(value) else 'MISSED'}: {self.what}: {number}{unit}, {limit}"


FULL_SIZE = f"ombre, {bench_ombre.SIZES[-1]}×"

BARS = (
    Bar(
        "reference student, time over ONNX Runtime's on its unmodified graph",
        bench_student.GROUP, bench_student.REWRITTEN, bench_student.UNMODIFIED, "at most", 0.55,
    ),
    Bar(
        "default student, time over the same",
        bench_student.GROUP, bench_student.DEFAULT, bench_student.UNMODIFIED, "at most", 0.30,
    ),
    Bar(
        "MediaPipe's time over the default student's",
        bench_student.GROUP, bench_student.MEDIAPIPE_MODEL, bench_student.DEFAULT, "at least", 1.8,
    ),
    Bar(
        "bundled student, an image",
        bench_teacher.GROUP, bench_teacher.BUNDLED, None, "at most", bench_teacher.LIMIT_S,
    ),
    Bar("dye of 1024², time over the encoder's alone", bench_dye.GROUP, "dye", bench_student.ENCODER, "at most", 3.0),
    Bar(
        "finding the head of a portrait, time over a run of the student",
        bench_heads.PORTRAIT, bench_heads.FIND, bench_heads.STUDENT, "at most", 1.5,
    ),
    Bar(
        "dye of a portrait, time over that of the whole photo without finding heads",
        bench_heads.PORTRAIT, bench_heads.DYE, bench_heads.WHOLE, "at most", 2.3,
    ),
    Bar(
        "dye of a group, time over finder, student's runs and ombre",
        bench_heads.GROUPS, bench_heads.DYE, bench_heads.PARTS, "at most", 1.2,
    ),
    Bar("ombre of 1024², the recorded way's time over ours", FULL_SIZE, "recorded", "cpp", "at least", 100),
    Bar("ombre of 1024², vectorised NumPy's time over ours", FULL_SIZE, "vectorised", "cpp", "at least", 40),
    Bar(
        "ombre of 1024², share of the speed of a copy on all threads",
        FULL_SIZE, bench_ombre.COPY_ALL_THREADS, "cpp", "at least", 0.35,
    ),
    Bar(
        "peak memory of one dye of 4096², over the photo's own",
        bench_memory.GROUP, bench_memory.DYE, bench_memory.PHOTO, "at most", 6,
    ),
    Bar(
        "set of photos, share of what the cores can do",
        bench_sets.GROUP, bench_sets.SHARED, bench_sets.OURS, "at least", 0.9,
    ),
    Bar(
        "set of photos, one worker's time over all workers'",
        bench_sets.GROUP, bench_sets.ALONE, bench_sets.OURS, "at least", 1.7,
    ),
    Bar(
        "portraits, plain PyTorch's time over the fast form's",
        bench_stylegan.GROUP, bench_stylegan.PLAIN, bench_stylegan.FAST, "at least", 1.5,
    ),
    Bar(
        "a frame of 720p with two heads, dyed from file to file",
        bench_video.TWO_HEADS, bench_video.PROVIDERS[0], None, "at most", bench_video.LIMIT_S,
    ),
    Bar("import", bench_start.GROUP, bench_start.IMPORT, None, "at most", 0.3),
    Bar("import and first dye", bench_start.GROUP, bench_start.FIRST_DYE, None, "at most", 1.5),
)  # fmt: skip
"""What was set out to be reached."""

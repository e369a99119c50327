"""How long does a training step of the student take on this CPU, and what do its depthwise gradients cost?

    python -m ohlora_fast.benchmarks.training_step

times forward and backward of a batch by turns: in float32, in bfloat16 with PyTorch's depthwise gradients, and in
bfloat16 with this library's (`ohlora_fast.ops.depthwise_op`), which `ohlora-fast distill --precision bf16` trains with.
Batch norms are frozen; augmentation, teachers and the optimizer's step are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from ohlora_fast.benchmarks.report import markdown
from ohlora_fast.benchmarks.run import machine, versions

from ohlora_fast.distill.depthwise import QuickDepthwise
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.rewrite import FrozenNorms

WAYS: dict[str, tuple[bool, Callable[[], Any]]] = {
    "float32": (False, nullcontext),
    "bfloat16, PyTorch's gradients": (True, nullcontext),
    "bfloat16, compiled gradients": (True, QuickDepthwise),
}
"""Whether the arithmetic is bfloat16, and what the forward pass stands in."""


def main() -> int:
    """Run from the command line, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ohlora_fast.benchmarks.training_step", description=__doc__)
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="photos a step (16)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="steps timed of each kind, by turns (9)")
    args = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in (machine() | versions()).items()))
    print(f"{torch.get_num_threads()} threads, {args.batch} photos a step, medians of {args.rounds}\n")
    found = times(args.batch, args.rounds)
    first = found["bfloat16, PyTorch's gradients"]
    rows = [[name, f"{1000 * one:.0f}", f"{first / one:.2f}"] for name, one in found.items()]
    print(markdown(["step", "ms", "times as quick as PyTorch's bfloat16"], rows, left=1))
    return 0


def times(batch: int, rounds: int) -> dict[str, float]:
    """Median seconds of each of `WAYS`, after a round that does not count."""
    student = EffiSegNet(upsampling="bilinear").train()
    form = FrozenNorms(student)
    x = torch.rand(batch, 3, student.size, student.size).contiguous(memory_format=torch.channels_last) * 2 - 1
    target = torch.rand(batch, 1, student.size, student.size)
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds + 1):
        for name, (half, around) in WAYS.items():
            began = time.perf_counter()
            with around(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = form(student, x)
            F.binary_cross_entropy_with_logits(logits.float(), target).backward()
            found[name].append(time.perf_counter() - began)
    return {name: median(seconds[1:]) for name, seconds in found.items()}


if __name__ == "__main__":
    sys.exit(main())

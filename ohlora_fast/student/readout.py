"""What an exported graph says of its readout, the part of the head that the compiled `_core.Readout` does faster."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast._core import Readout

SUMS = "sums"
"""The graph's value that the readout starts from: float32 (N, channels, 112, 112)."""
WEIGHTS = "ohlora_fast.readout.weights"
CHANNELS = "ohlora_fast.readout.channels"
STRIDE = "ohlora_fast.readout.head_stride"
"""Keys of the graph's metadata. The weights are float32, little-endian, in base64."""
MOST_CHANNELS = 512
"""Of the sums."""


def describe(weights: np.ndarray[tuple[int], np.dtype[np.float32]], channels: int, stride: int) -> dict[str, str]:
    """The metadata for a graph.

    Args:
        weights: in the order of ``csrc/readout.hpp``.
        channels: of the sums.
        stride: the head's, 1 or 2.
    """
    text = base64.b64encode(weights.astype("<f4").tobytes()).decode()
    return {WEIGHTS: text, CHANNELS: str(channels), STRIDE: str(stride)}


def compiled_readout(metadata: Mapping[str, str]) -> Readout | None:
    """The readout that metadata describes; None if they describe none, or the extension does not load.

    Raises:
        InputError: they describe a readout that cannot be.
    """
    try:
        from ohlora_fast._core import Readout
    except ImportError:
        return None
    if not {WEIGHTS, CHANNELS, STRIDE} <= metadata.keys():
        return None
    numbers = {}
    for key, most in ((CHANNELS, MOST_CHANNELS), (STRIDE, 2)):
        if not re.fullmatch("[1-9][0-9]{0,3}", metadata[key]) or int(metadata[key]) > most:
            raise InputError(f"its metadata {key} is {metadata[key][:20]!r}, allowed are 1 to {most}")
        numbers[key] = int(metadata[key])
    try:
        raw = base64.b64decode(metadata[WEIGHTS], validate=True)
    except ValueError:
        raise InputError(f"its metadata {WEIGHTS} is no base64") from None
    size = numbers[CHANNELS] * (2 * numbers[CHANNELS] + 25) + 1
    if len(raw) != 4 * size:
        raise InputError(f"its metadata {WEIGHTS} holds {len(raw)} bytes, expected {4 * size}, as {CHANNELS} says")
    weights = np.frombuffer(raw, "<f4")
    if not np.isfinite(weights).all():
        raise InputError(f"its metadata {WEIGHTS} holds values that are not finite")
    return Readout(weights, numbers[CHANNELS], numbers[STRIDE])

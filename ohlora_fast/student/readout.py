"""What an exported graph says of its readout, the part of the head that the compiled `_core.Readout` does faster."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ohlora_fast._core import Readout

SUMS = "sums"
"""The graph's value that the readout starts from: float32 (N, channels, 112, 112)."""
WEIGHTS = "ohlora_fast.readout.weights"
CHANNELS = "ohlora_fast.readout.channels"
STRIDE = "ohlora_fast.readout.head_stride"
"""Keys of the graph's metadata. The weights are float32, little-endian, in base64."""


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
    """The readout that metadata describes; None if they describe none, or the extension does not load."""
    try:
        from ohlora_fast._core import Readout
    except ImportError:
        return None
    if not {WEIGHTS, CHANNELS, STRIDE} <= metadata.keys():
        return None
    weights = np.frombuffer(base64.b64decode(metadata[WEIGHTS]), "<f4")
    return Readout(weights, int(metadata[CHANNELS]), int(metadata[STRIDE]))

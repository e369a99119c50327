"""The student's maps of photos and of crops of them, whatever engine it runs in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.photos import as_bytes, as_tensor, resize_tensor
from ohlora_fast.student.engines import Engine, TorchEngine
from ohlora_fast.student.preprocess import squash

if TYPE_CHECKING:
    from ohlora_fast.heads.crops import Window

Array = np.ndarray[Any, Any]

CHUNK = 16
"""Photos that go through the student at once. Larger batches take more memory and are no quicker on a CPU."""


class Student:
    """A student in an engine.

    Args:
        engine: runs it.
        threads: CPU threads of one call; None for all cores.
    """

    def __init__(self, engine: Engine, threads: int | None) -> None:
        self.engine, self.threads = engine, threads

    def predict(self, inputs: Array) -> Array:
        """The maps (N, size, size) of squashed photos (N, size, size, 3)."""
        return np.concatenate([self.engine.predict(inputs[i : i + CHUNK]) for i in range(0, len(inputs), CHUNK)])

    def maps_of_crops(self, photo: Array, windows: Sequence[Window]) -> list[Array]:
        """The maps of crops of one photo (H, W, C), which go through the student together."""
        if not windows:
            return []
        crops = [squash(photo[window.slices], self.threads, self.engine.size) for window in windows]
        return list(self.predict(np.stack(crops)))

    def maps(self, photos: Any) -> Any:
        """The student's maps (N, size, size) of a checked batch, as array or tensor like the batch."""
        if self.runs_on_gpu(photos):
            from ohlora_fast.on_gpu import map_arrays

            gpu: Any = self.engine
            return map_arrays(gpu, photos) if isinstance(photos, np.ndarray) else gpu.maps(photos)
        if isinstance(photos, np.ndarray):
            return self.predict(squash(photos, self.threads, self.engine.size))
        import torch

        engine = self.engine
        if isinstance(engine, TorchEngine) and torch.device(engine.device).type == photos.device.type != "cpu":
            pixels = photos.detach()[:, :3].float()
            squashed = resize_tensor(pixels, (engine.size, engine.size), "bilinear").round().byte()
            channels_last = squashed.permute(0, 2, 3, 1).to(engine.device)
            maps = torch.cat([engine.predict_tensor(chunk) for chunk in channels_last.split(CHUNK)])
            return maps.to(photos.device)
        return as_tensor(self.maps(as_bytes(photos)), photos.device)

    def runs_on_gpu(self, photos: Any) -> bool:
        """Whether the GPU's kernels take this checked batch as it is: arrays, and bytes in that GPU's memory."""
        if self.engine.name != "cuda":
            return False
        on_it = not isinstance(photos, np.ndarray) and str(photos.device) == self.engine.device
        return isinstance(photos, np.ndarray) or (on_it and str(photos.dtype) == "torch.uint8")

"""How long does an image take, from a uint8 224×224 photo to its hair map: the teacher against the students?

The teacher has random weights, on which its time does not depend. Limits: it computes 18 GMAC an image; the way its
labels were recorded, it is also built anew and 369 MB are read for every image. The students': see `bench_student.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import setting

from ohlora_fast.student import SIZE
from ohlora_fast.student.engines import device_problem

BUNDLED = "bundled student, as installed"
PROVIDERS = (BUNDLED, "reference student, torch eager", "teacher, kept loaded", "teacher, the recorded way")
DEVICES = tuple(device for device in ("cpu", "cuda") if device_problem(device) is None)
LIMIT_S = 0.05
"""What a student may take an image."""
GROUP = "teacher and students"
ROUNDS = {"teacher, kept loaded": 5, "teacher, the recorded way": 2}


def make(provider: str, device: str, image: np.ndarray[Any, Any], folder: Path, threads: int) -> Callable[[], object]:
    """The call to time; its result is on the CPU, so that a GPU has finished."""
    if provider == BUNDLED:
        from ohlora_fast.stylist import HairStylist

        stylist = HairStylist(device=device, threads=threads)
        return lambda: stylist.segment(image)

    import torch

    torch.set_num_threads(threads)

    def on_device(call: Callable[[Any], Any]) -> Callable[[], object]:
        def timed() -> object:
            x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
            with torch.inference_mode():
                return call(x).cpu()

        return timed

    torch.manual_seed(0)
    if provider == "reference student, torch eager":
        from ohlora_fast.student.model import EffiSegNet

        return on_device(EffiSegNet("efficientnet-b0", head_stride=1).eval().to(device))

    from ohlora_fast.teacher.facexformer import OFFICIAL_KEY, FaceXFormer

    teacher = FaceXFormer().eval().to(device)
    if provider == "teacher, kept loaded":
        return on_device(teacher.hair_probability)
    checkpoint = folder / "model.pt"
    torch.save({OFFICIAL_KEY: teacher.state_dict()}, checkpoint)

    def recorded(x: Any) -> Any:
        fresh = FaceXFormer()
        fresh.load_state_dict(torch.load(checkpoint, map_location=device, weights_only=True)[OFFICIAL_KEY])
        return fresh.eval().to(device).hair_probability(x)

    return on_device(recorded)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_teacher(measure: Callable[..., None], provider: str, device: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        call = make(provider, device, image, Path(folder), setting.threads())
        measure(f"{GROUP}, {device}, 1 image", call, rounds=ROUNDS.get(provider, 40))

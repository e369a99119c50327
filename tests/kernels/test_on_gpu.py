"""Segmenting and dyeing of tensors, as the CUDA engine's stylist does it, with the kernels in Triton's interpreter.

The engine itself needs a GPU (tests/gpu/test_cuda_engine.py); here a student on the CPU gives the maps.
"""

import os

import numpy as np
import pytest
import torch

from ohlora_fast import HairStylist, apply_ombre
from ohlora_fast.ombre import make_work

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="for Triton's interpreter")


class Engine:
    def __init__(self):
        self.stylist = HairStylist(device="cpu", engine="onnx")

    def maps(self, photos):
        return self.stylist.segment_map(photos)


@pytest.mark.parametrize("how", [{}, {"refine": True}, {"method": "natural"}, {"method": "natural", "refine": True}])
def test_tensors_are_dyed_as_the_same_maps_dye_arrays(how):
    from ohlora_fast.on_gpu import dye_tensors, form_of

    astronaut = pytest.importorskip("skimage.data").astronaut()[0:240:2, 100:340:2]
    photos = np.stack([astronaut, np.full_like(astronaut, 200)])
    engine, settings = Engine(), tuple(np.full(2, value) for value in (0.9, 0.6, 0.5))
    method, refine = how.get("method", "seed"), how.get("refine", False)
    work = make_work(method, settings, refine)
    form = form_of(work, refine and method != "seed")
    planes = torch.from_numpy(photos).permute(0, 3, 1, 2)
    dyed, found = dye_tensors(engine, planes, form, torch.from_numpy(work.packed()))
    assert found.tolist() == [True, False]
    dyed = dyed.permute(0, 2, 3, 1).numpy()
    expected = apply_ombre(photos[0], engine.maps(planes)[0].numpy(), 0.9, **how)
    differ = np.abs(dyed[0].astype(int) - expected)
    assert differ.max() <= 1
    assert differ.mean() < 0.01
    assert (np.abs(dyed[0].astype(int) - photos[0]) > 10).mean() > 0.02
    np.testing.assert_array_equal(dyed[1], photos[1])

"""What a type checker knows of the public names: checked by `mypy --strict`, and runs."""

from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray

import ohlora_fast
from ohlora_fast import EffiSegNet, HairStylist, InputError, Ombre, apply_ombre

photo: NDArray[np.uint8] = np.full((60, 40, 3), 128, np.uint8)
floats: NDArray[np.float64] = photo / 255
hair = np.ones((8, 8), np.float32)

assert_type(ohlora_fast.segment(photo), NDArray[np.float32])
assert_type(ohlora_fast.dye(photo, color=0.9, prob=hair), NDArray[np.uint8])
assert_type(ohlora_fast.dye(floats, prob=hair), NDArray[np.float64])
assert_type(apply_ombre(photo, hair, color=0.9), NDArray[np.uint8])
assert_type(Ombre(color=0.9).apply(photo, hair), NDArray[np.uint8])
assert_type(ohlora_fast.__version__, str)

stylist = HairStylist(threads=1)
dyed: NDArray[np.uint8] = stylist.dye(photo, ombre_height=1.0)
assert_type(stylist.segment([photo, photo], refine=True), list[Any])
tensor: torch.Tensor = torch.full((3, 60, 40), 128, dtype=torch.uint8)
assert_type(stylist.dye(tensor, color=0.9), torch.Tensor)
model: EffiSegNet = EffiSegNet("efficientnet-lite0", head_stride=2)

try:
    Ombre(color=2)
except InputError as error:
    print(error)

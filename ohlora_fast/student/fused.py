"""The student as three operations: preprocessing, encoder, head. The form that the GPU runs; it runs on CPUs too.

Only the encoder is a network of PyTorch's. The other two are this library's operations, which are Triton kernels on
NVIDIA GPUs and plain PyTorch elsewhere, so that the whole can be held to the student's other forms on any machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohlora_fast.ops import head_op, preprocess_op  # noqa: F401 - registers the operations
from ohlora_fast.ops.head_op import pack_head
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


class FusedStudent(nn.Module):
    """A trained student for inference in one floating-point type, its encoder channels-last with batch norms folded.

    Args:
        model: the student; it stays as it is.
        dtype: of weights and activations; sums are float32, and so are the probabilities.

    Shape: uint8 RGB or RGBA (N, 3 or 4, H, W), of any strides → float32 (N, size, size) in [0, 1].

    >>> student = FusedStudent(EffiSegNet())
    >>> student(torch.zeros(2, 3, 50, 40, dtype=torch.uint8)).shape
    torch.Size([2, 224, 224])
    """

    def __init__(self, model: EffiSegNet, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        form = InferenceEffiSegNet(model, fold=True)
        form.encoder._conv_stem.weight /= 127.5  # `preprocess` leaves the scale of its bytes to the weights
        self.dtype, self.size = dtype, model.size
        self.head_stride, self.upsampling = model.head_stride, model.upsampling
        self.encoder = form.encoder.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        packed = pack_head(form, dtype)
        self.head_names = packed._fields
        for name, weight in packed._asdict().items():
            self.register_buffer(f"head_{name}", weight)

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 (N, 3 or 4, H, W) → the encoder's input: (N, 3, size, size), bytes less 127.5, channels-last."""
        return torch.ops.ohlora_fast.preprocess(images, self.dtype, self.size)

    def segment(self, x: Tensor) -> Tensor:
        """The encoder's input → float32 hair probabilities (N, size, size)."""
        weights = [getattr(self, f"head_{name}") for name in self.head_names]
        maps = torch.ops.ohlora_fast.student_head(self.encoder(x), weights, self.head_stride, self.upsampling)
        return maps[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        return self.segment(self.prepare(images))

"""The compiled readout against the student's: shapes, widths, strides, threads and levels of vector instructions."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ohlora_fast import _core
from ohlora_fast.student.export import readout_weights
from ohlora_fast.student.model import HEAD_STRIDES, EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet

SHAPES = [(1, 1), (7, 5), (2, 33), (17, 48), (30, 49)]


@pytest.mark.parametrize("channels", [3, 5, 16, 32])
@pytest.mark.parametrize("stride", HEAD_STRIDES)
def test_the_readout_of_the_student(fill, stride, channels):
    form = InferenceEffiSegNet(fill(EffiSegNet(head_stride=stride, head_channels=2 * channels)))
    readout = _core.Readout(readout_weights(form), channels, stride)
    generator = torch.Generator().manual_seed(0)
    for count, (height, width) in [(1, (112, 112)), *((2, shape) for shape in SHAPES)]:
        sums = 100 / channels * torch.randn(count, channels, height, width, generator=generator)
        with torch.inference_mode():
            expected = torch.sigmoid(form.readout(sums))[:, 0].numpy()
        assert expected.std() > 1e-3 or min(height, width) == 1
        for threads in (1, 2, 5):
            got = readout(sums.numpy(), threads)
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() < 1e-5


def test_saturated_logits_end_at_0_and_1():
    weights = np.zeros(_size(1), np.float32)
    readout = {sign: _core.Readout(_biased(weights, sign * 1e4), 1, 2) for sign in (-1, 1)}
    sums = np.zeros((1, 1, 4, 4), np.float32)
    assert readout[1](sums, 1).max() == readout[1](sums, 1).min() == 1
    assert 0 <= readout[-1](sums, 1).max() < 1e-37


def test_weights_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"^weights: 28 are not those of 2 channels$"):
        _core.Readout(np.zeros(28, np.float32), 2, 2)


LEVEL = """
import numpy as np
from ohlora_fast import _core
rng = np.random.default_rng(0)
weights = rng.normal(size=8 * (16 + 25) + 1).astype(np.float32) / 4
sums = rng.normal(size=(2, 8, 20, 30)).astype(np.float32)
for stride in (1, 2):
    out = _core.Readout(weights, 8, stride)(sums, 1)
    print(*np.round(out.astype(np.float64).mean(axis=(1, 2)), 6), _core.build_info()["simd"])
"""


@pytest.mark.parametrize("level", _core.build_info()["simd_compiled"])
def test_levels_agree(level):
    def run(**environment):
        done = subprocess.run(
            [sys.executable, "-c", LEVEL], env=os.environ | environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    for ours, best in zip(run(OHLORA_SIMD=level), run(), strict=True):
        assert np.allclose(np.array(ours[:2], float), np.array(best[:2], float), atol=3e-6)


def _size(channels):
    return channels * (2 * channels + 25) + 1


def _biased(weights, bias):
    out = weights.copy()
    out[-1] = bias
    return out

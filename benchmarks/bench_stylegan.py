"""How long does the generator take from latents to 256×256 portraits, on a CPU?

Limit: arithmetic, 23 GMAC an image, of which the fast form needs 18: its transposed convolutions skip the products that
nearest-neighbour upsampling repeats. The plain form is the training form as it is; all have random weights, on which
the time does not depend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ohlora_fast.benchmarks import setting

FAST = "fast form"
PLAIN = "plain PyTorch"
CHANNELS_LAST = "plain PyTorch channels-last"
COMPILED = "torch.compile"
PROVIDERS = (FAST, PLAIN, CHANNELS_LAST, COMPILED)
SLOW_TO_START = {COMPILED: "it compiles for minutes before the first call"}
"""Providers that ``--quick`` leaves out, and why."""
BATCHES = (1, 8)
GROUP = "stylegan, 256×256"


def group(batch: int) -> str:
    """The name of a batch's group of results."""
    return f"{GROUP}, batch {batch}"


def make(provider: str, batch: int, threads: int) -> Callable[[], Any]:
    """The call to time: a batch of portraits from latents and labels."""
    import torch

    from ohlora_fast.stylegan.fast import FastGenerator
    from ohlora_fast.stylegan.generator import Generator

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model: Any = Generator("v9").eval()
    if provider == FAST:
        model = FastGenerator(model)
    elif provider == CHANNELS_LAST:
        model = model.to(memory_format=torch.channels_last)
    elif provider == COMPILED:
        model = torch.compile(model)
    z, label = torch.randn(batch, 512), torch.zeros(batch, 7)

    def call() -> Any:
        with torch.inference_mode():
            return model(z, label, truncation_psi=0.7)

    return call


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_stylegan(measure: Callable[..., None], provider: str, batch: int) -> None:
    measure(group(batch), make(provider, batch, setting.threads()), rounds=20 if batch == 1 else 6)

"""Weights of the head finder: reading and writing safetensors."""

from __future__ import annotations

from pathlib import Path

from ohlora_fast.heads.network import HeadFinderNet
from ohlora_fast.media.files import written_whole
from ohlora_fast.student.weights import check_state, read_state


def load_net(path: str | Path) -> HeadFinderNet:
    """Load a head finder in float32 and evaluation mode.

    Raises:
        InputError: the file cannot be read, or its names or shapes are not those of a head finder.
    """
    state, _ = read_state(path)
    net = HeadFinderNet()
    check_state(state, net.state_dict(), str(path))
    net.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in state.items()})
    return net.eval()


def save_net(net: HeadFinderNet, path: str | Path) -> None:
    """Write a head finder as safetensors, whole or not at all."""
    from safetensors.torch import save

    with written_whole(path) as file:
        file.write(save({name: value.contiguous().cpu() for name, value in net.state_dict().items()}))

"""Large sets of photos: whatever holds them, on one machine or many, to the end in spite of interruptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlora_fast.batch.ray_runner import map_dataset
    from ohlora_fast.batch.recipe import Recipe
    from ohlora_fast.batch.run import Summary, dye_set

__all__ = ["Recipe", "Summary", "dye_set", "map_dataset"]

_HOMES = {"Recipe": "recipe", "Summary": "run", "dye_set": "run", "map_dataset": "ray_runner"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

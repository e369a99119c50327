"""Hair dyed at random, as augmentation in the pipelines of other libraries.

`OmbreHair` is a transform of Albumentations, `RandomOmbreHair` one of Kornia; each is imported, with its library, on
first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ohlora_fast.arguments import shown
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from .for_albumentations import OmbreHair
    from .for_kornia import RandomOmbreHair

__all__ = ["OmbreHair", "RandomOmbreHair"]


def check_heads(heads: Any) -> None:
    """Check how a transform looks for heads.

    Raises:
        InputError: neither "auto" nor "whole"; indices and boxes are of one photo, and a transform sees many.
    """
    if not isinstance(heads, str) or heads not in ("auto", "whole"):
        raise InputError(f"heads: got {shown(heads)}, allowed are 'auto' and 'whole'")


_HOME = {"OmbreHair": ("for_albumentations", "albumentations"), "RandomOmbreHair": ("for_kornia", "kornia")}


def __getattr__(name: str) -> Any:
    """Import a transform from the module that holds it.

    Raises:
        InputError: its library is not installed.
    """
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, library = _HOME[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise InputError(f"{name} needs the package {library}: pip install {library}") from None

"""Fast hair segmentation and ombre dyeing.

The public names are loaded on first use, so that ``import ohlora_fast`` itself stays quick and loads neither
PyTorch nor OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ohlora_fast.telemetry import turn_off as _turn_off

if TYPE_CHECKING:
    from .errors import InputError
    from .functional import dye, segment
    from .heads.boxes import Heads, head_boxes
    from .heads.hair import Hair
    from .natural import NaturalDye
    from .ombre import Ombre, apply_ombre
    from .student.model import EffiSegNet
    from .stylist import HairStylist

_turn_off()  # before any package that reports is imported

__version__ = "0.1.0"

__all__ = [
    "EffiSegNet", "Hair", "HairStylist", "Heads", "InputError", "NaturalDye", "Ombre", "__version__", "apply_ombre",
    "dye", "head_boxes", "segment",
]  # fmt: skip

_HOME = {
    "EffiSegNet": ".student.model",
    "Hair": ".heads.hair",
    "HairStylist": ".stylist",
    "Heads": ".heads.boxes",
    "InputError": ".errors",
    "NaturalDye": ".natural",
    "Ombre": ".ombre",
    "apply_ombre": ".ombre",
    "dye": ".functional",
    "head_boxes": ".heads.boxes",
    "segment": ".functional",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that holds it, once."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

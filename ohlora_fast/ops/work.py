"""One way of dyeing a batch, in all its forms, for whoever chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """A way of dyeing, with its settings.

    Attributes:
        name: what stands for it in messages.
        numpy: (images, maps) → dyed images, arrays.
        cpp: (images, maps, threads) → the same, compiled.
        packed: gives the settings as the one float64 array that operations on tensors take.
        forms: backend → module and name of what takes (images, maps, packed settings) as tensors.
    """

    name: str
    numpy: Callable[[Any, Any], Any]
    cpp: Callable[[Any, Any, int | None], Any]
    packed: Callable[[], Any]
    forms: Mapping[str, tuple[str, str]]

    def form(self, backend: str) -> Callable[[Any, Any, Any], Any]:
        """Import a form for tensors.

        Example:
            >>> work = Work("hypotenuse", None, None, None, {"torch": ("math", "hypot")})
            >>> work.form("torch")(3, 4)
            5.0
        """
        module, name = self.forms[backend]
        form: Callable[[Any, Any, Any], Any] = getattr(import_module(module), name)
        return form

"""Arrays in the form that compiled code reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["aligned"]


def aligned(array: NDArray[Any], dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Give an array in C order, at an address that is a multiple of its values' size; copied where it is not.

    `np.ascontiguousarray` keeps the address of values behind a header of odd length, where compiled code may not read.

    Args:
        array: of any shape.
        dtype: of the values; None for those that it has.

    Example:
        >>> floats = np.frombuffer(bytes(9), np.float32, count=2, offset=1)
        >>> floats.flags.aligned, aligned(floats).flags.aligned
        (False, True)
    """
    return np.require(array, dtype, ("C", "A", "E"))

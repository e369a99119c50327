"""Settings of several photos and several heads: one for all, one a photo, one a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ohlora_fast.arguments import shown
from ohlora_fast.errors import InputError
from ohlora_fast.ombre import NAMES as OF_OMBRE
from ohlora_fast.ombre import checked, make_work
from ohlora_fast.ops.ombre_op import is_tensor

NAMES = (*OF_OMBRE, "method")


def of_photos(settings: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
    """Spread the four settings over photos; what comes for one may be one a head there.

    Raises:
        InputError: several came, but not one a photo.

    >>> of_photos((0.5, [0.1, [0.2, 0.3]], 1.0, "seed"), 2)
    [(0.5, 0.1, 1.0, 'seed'), (0.5, [0.2, 0.3], 1.0, 'seed')]
    """
    columns = [each_photo(name, value, count) for name, value in zip(NAMES, settings, strict=True)]
    return list(zip(*columns, strict=True))


def of_heads(settings: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
    """Spread the four settings of a photo over its heads, and check them, also where there is no head.

    Raises:
        InputError: several came, but not one a head, or one is outside its range.

    >>> of_heads((0.5, [0.1, 0.2], 1.0, "seed"), 2)
    [(0.5, 0.1, 1.0, 'seed'), (0.5, 0.2, 1.0, 'seed')]
    """
    columns = [each_head(name, value, count) for name, value in zip(NAMES, settings, strict=True)]
    each = list(zip(*columns, strict=True))
    for color, height, grad_height, method in each or [tuple(settings)]:
        make_work(method, checked(color, height, grad_height, 1))
    return each


def each_photo(name: str, value: Any, count: int) -> list[Any]:
    """Spread a setting over photos: one for all, or one a photo, which may be one a head there.

    Raises:
        InputError: another number of them.

    >>> each_photo("color", 0.5, 2), each_photo("color", [0.1, [0.2, 0.3]], 2)
    ([0.5, 0.5], [0.1, [0.2, 0.3]])
    """
    if not is_several(value):
        return [value] * count
    values = as_list(value)
    if len(values) != count:
        raise InputError(
            f"{name}: got shape {shape_of(value)}, allowed are one for all or one for each of {count} photos"
        )
    return values


def each_head(name: str, value: Any, count: int) -> list[Any]:
    """Spread a photo's setting over its heads: one for all, or one a head.

    Raises:
        InputError: another number of them.

    >>> each_head("color", 0.5, 2), each_head("color", [0.1, 0.2], 2)
    ([0.5, 0.5], [0.1, 0.2])
    """
    if not is_several(value):
        return [value] * count
    values = as_list(value)
    if len(values) != count or any(map(is_several, values)):
        heads = f"{count} head{'s' * (count != 1)}"
        raise InputError(f"{name}: got {shown(value)} for {heads}, allowed are one for all or one a head")
    return values


def dealt(colors: Sequence[float], count: int) -> list[float]:
    """Deal colours out to so many heads, over and over.

    >>> dealt((0.1, 0.5), 3)
    [0.1, 0.5, 0.1]
    """
    return [colors[index % len(colors)] for index in range(count)]


def is_several(value: Any) -> bool:
    """Say whether a setting is several: a list, a tuple, an array or tensor of one axis or more."""
    return isinstance(value, list | tuple) or (hasattr(value, "ndim") and value.ndim > 0)


def as_list(value: Any) -> list[Any]:
    values: list[Any] = value.tolist() if is_tensor(value) else list(value)
    return values


def shape_of(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if hasattr(value, "shape") else (len(value),)

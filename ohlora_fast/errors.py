"""The one exception that tells a user what to change about an input."""

__all__ = ["InputError"]


class InputError(ValueError):
    """An argument or a file that cannot be used as given.

    The message is one line that names the argument or file, what came, and what is allowed. The command line
    prints it alone, without a traceback.

    Example:
        >>> raise InputError("color: got 1.2, allowed is a number from 0 to 1")
        Traceback (most recent call last):
        ...
        ohlora_fast.errors.InputError: color: got 1.2, allowed is a number from 0 to 1
    """

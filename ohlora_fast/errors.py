"""What tells a user about an input: the exception that refuses it, and the warning that nothing was done."""

__all__ = ["InputError", "NoHairWarning"]


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


class NoHairWarning(UserWarning):
    """No hair was found in a photo, so that dyeing leaves it as it is."""

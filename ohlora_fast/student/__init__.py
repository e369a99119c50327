"""The student: EffiSegNet, its exact inference rewrite, its weights and the engines that run it."""

from importlib import resources
from pathlib import Path

SIZE = 224
"""Height and width of what the bundled student and the reference student take, and of the maps they give."""


def bundled(name: str) -> Path:
    """The path of a file among the weights that ship with the package."""
    return Path(str(resources.files(__name__) / "bundled" / name))

"""Videos: `dye_video` from file to file, keyframes, and hair maps that keep still between frames."""

from ohlora_fast.video.dye import Dyed, dye_video
from ohlora_fast.video.keyframes import Keyframes

__all__ = ["Dyed", "Keyframes", "dye_video"]

"""The student: EffiSegNet, its exact inference rewrite, its weights and the engines that run it."""

SIZE = 224
"""Height and width of the image the student takes and of the map it gives."""

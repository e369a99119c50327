"""What a training run is determined by, and the recipes that have a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ohlora_fast.distill.checks import check_choices, check_counts, check_numbers
from ohlora_fast.errors import InputError
from ohlora_fast.student.model import UPSAMPLINGS

LOSSES = ("soft-bce", "mse", "kl", "dice+bce")
SCHEDULES = ("one-cycle", "exponential")
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Names of precisions → Lightning's."""
STARTS = ("bundled", "imagenet", "scratch")
AUGMENTATIONS = ("none", "light", "mild", "strong")


@dataclass(frozen=True)
class Settings:
    """What a run is determined by, apart from its data. Written to ``settings.json`` in the run's folder.

    Attributes:
        preset: the recipe that the settings came from, for the record.
        start: ``"bundled"`` (this library's student, whose variant then counts), ``"imagenet"`` (of the Lite encoders),
            ``"scratch"``, or the path of a student's weights.
        encoder: see `EffiSegNet`; so are ``head_stride`` and ``head_channels``.
        size: side of the squares that the student takes and gives, a multiple of 32; None for the start's.
        upsampling: the head's, see `EffiSegNet`; None for the start's, and for bilinear from ``imagenet`` or
            ``scratch``.
        loss: one of `LOSSES`.
        dice_weight: of the Dice part of ``dice+bce``.
        teacher: paths of students' weights; the mean of their maps of each bent and recoloured photo and its mirror
            image, its soft label, is mixed into its mask. None for the masks alone.
        teacher_weight: of the soft labels in that mixture.
        teacher_once: ask the teachers once, before training, about each photo as it is, and bend their soft labels with
            the masks: training then takes no longer than without teachers.
        agreement: leave out pairs whose mask and soft label, both cut at 0.5, have a lower IoU than this: most of them
            are labelled wrongly. 0 leaves none out, and asks no teacher beforehand.
        epochs: at most this many; after each, the student is validated.
        minutes: train for so long, validations included, and validate once more, in place of ``epochs``; 0 for those.
        rounds: how often an epoch draws as many photos as there are.
        batch: photos a step, on each device.
        encoder_lr: peak learning rate of the encoder.
        head_lr: peak learning rate of the head.
        weight_decay: AdamW's, on matrices and kernels.
        schedule: ``"one-cycle"`` over all epochs, or by the clock over the ``minutes``, or ``"exponential"``: times
            ``gamma`` an epoch.
        gamma: see there.
        clip: largest norm of the gradient; 0 for none.
        ema_decay: of the exponential average of the weights, a step, at most; see `AveragedWeights`; 0 for none.
        patience: stop after this many epochs without a better validation loss; 0 for never.
        frozen_norms: keep the batch norms' statistics, and train in the inference form, which is twice as quick.
        augmentation: one of `AUGMENTATIONS`.
        balance: draw every source equally often.
        validation: share of the pairs that chooses the best epoch.
        test: share of the pairs that scores it, and does nothing else.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` (mixed precision).
        seed: of all that is random.
    """

    preset: str = "default"
    start: str = "bundled"
    encoder: str = "efficientnet-lite2-short"
    head_stride: int = 2
    head_channels: int = 64
    size: int | None = None
    upsampling: str | None = None
    loss: str = "soft-bce"
    dice_weight: float = 1.0
    teacher: Sequence[str] = ()
    teacher_weight: float = 0.4
    teacher_once: bool = False
    agreement: float = 0.5
    epochs: int = 16
    minutes: float = 0.0
    rounds: int = 1
    batch: int = 16
    encoder_lr: float = 2e-4
    head_lr: float = 8e-4
    weight_decay: float = 2e-2
    schedule: str = "one-cycle"
    gamma: float = 0.975
    clip: float = 5.0
    ema_decay: float = 0.998
    patience: int = 0
    frozen_norms: bool = True
    augmentation: str = "strong"
    balance: bool = True
    validation: float = 0.06
    test: float = 0.0
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self, loss=LOSSES, schedule=SCHEDULES, precision=PRECISIONS, augmentation=AUGMENTATIONS)
        if self.upsampling is not None:
            check_choices(self, upsampling=UPSAMPLINGS)
        check_counts(self, 1, "epochs", "rounds", "batch")
        from_zero = ("dice_weight", "weight_decay", "clip", "patience", "minutes")
        check_numbers(self, "numbers from 0 on", lambda value: value >= 0, *from_zero)
        shares = ("teacher_weight", "agreement", "ema_decay", "validation", "test")
        check_numbers(self, "numbers from 0 to 1", lambda value: 0 <= value <= 1, *shares)
        if not self.validation or self.validation + self.test >= 1:
            raise InputError(
                f"validation, test: got {self.validation} and {self.test}; validation must be above 0, the sum below 1"
            )


PRESETS: Mapping[str, Settings] = {
    "default": Settings(loss="dice+bce"),
    # How the bundled student was brought from the encoder's ImageNet weights to where `default` takes it up.
    "imagenet": Settings(
        preset="imagenet", start="imagenet", loss="dice+bce", epochs=30, encoder_lr=5e-4, head_lr=2e-3, clip=0.0,
    ),
    # As recorded for Oh-LoRA v4. What its encoder started from is not recorded; ImageNet weights of B0 are not on PyPI.
    "ohlora-v4": Settings(
        preset="ohlora-v4", start="scratch", encoder="efficientnet-b0", head_stride=1, upsampling="nearest",
        epochs=240, encoder_lr=1e-4, head_lr=1e-4, weight_decay=1e-2, schedule="exponential", clip=0.0, ema_decay=0.0,
        patience=20, frozen_norms=False, augmentation="none", balance=False, validation=0.1, test=0.1,
    ),
}  # fmt: skip
RECORDED_LOSSES = ("mse", "soft-bce", "kl")
"""The losses of the recorded comparison, in its order."""


def settings_from(preset: str, changes: Mapping[str, Any]) -> Settings:
    """A preset with some settings changed; those that are None stay.

    Raises:
        InputError: no such preset or setting, or a value that is not allowed.

    >>> settings_from("ohlora-v4", {"epochs": 3, "seed": None}).epochs
    3
    """
    if preset not in PRESETS:
        raise InputError(f"preset: got {preset!r}, allowed are {', '.join(PRESETS)}")
    names = [field.name for field in fields(Settings)]
    if unknown := [name for name in changes if name not in names]:
        raise InputError(f"settings: got {unknown[0]!r}, allowed are {', '.join(names)}")
    values = {name: getattr(PRESETS[preset], name) for name in names}
    return Settings(**values | {name: value for name, value in changes.items() if value is not None})

"""What a fine-tuning is determined by, and the networks that it starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from ohlora_fast.distill.checks import check_choices, check_counts, check_numbers
from ohlora_fast.distill.settings import PRECISIONS
from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.discriminator import GROUP, Discriminator
from ohlora_fast.stylegan.generator import NOISES, VERSIONS, W_AVERAGE_DECAY, Generator, NoiseKind, Version
from ohlora_fast.stylegan.layers import BASE, WIDTH, check_size
from ohlora_fast.stylegan.weights import freeze, load_discriminator, load_generator, start_v9

NEW_START = "new"
"""The start of a run whose generator comes from no file."""
TRAIN = ("recorded", "all")
FROM_ZERO = ("cosine_epochs", "first_tests", "auroc_images", "seed")
"""Those whole numbers that may be 0."""


@dataclass(frozen=True)
class FinetuneSettings:
    """What a run is determined by, apart from its images and scorers. The defaults are what is recorded.

    Attributes:
        start: a generator's weights, or ``"new"``. From a v1 generator a v9 one is made, if ``version`` says so.
        discriminator: its weights, for images as large as the generator's; None for a new one.
        version: of the generator, ``"v9"`` or ``"v1"``.
        resolution, base, width: of a new generator; else the file's count.
        train: ``"recorded"`` for the layers of `trained_parameters` alone, or ``"all"``.
        batch: images a step, on each device: at most 16, or a multiple of 16.
        epochs: how often every image comes.
        generator_lr, discriminator_lr, beta1, beta2, weight_decay: of AdamW.
        cosine_epochs: a cosine over so many epochs lowers the rates, and raises them again; 0 for constant rates. As
            recorded, a cosine over 10 was built and never stepped, which is 0.
        gamma: of the R1 penalty: gamma/2 · |∇|² of the scores of real images; 0 for none.
        r1_every: apply the penalty in every Nth iteration of the discriminator, N times as strongly.
        d_most, d_factor: a step trains the discriminator until its loss is below the factor times the generator's last
            one, at most so many times.
        g_most, g_factor: then the generator, until its loss is below the factor times the discriminator's.
        w_avg_decay: how much of the average w each batch of the generator keeps.
        ema_decay: of the generator's exponential average over the steps; 0 for none.
        noise: in training: ``"stored"`` for the checkpoint's planes, or ``"fresh"``.
        mirror: turn every other image over, at random.
        resize: crop images to their central square and resize them; else each must have the generator's size.
        test_every: a test comes at every Nth batch of an epoch.
        first_tests: in the first epoch also at each of the first N batches …
        first_test_every: … and at every Nth.
        test_images: how many are scored in a test.
        psi: truncation in tests and pictures, over the first 8 layers; 1 for none.
        auroc_images: how many real and fake ones the AUROC is taken over; 0 for those of the batch.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` (mixed precision).
        seed: of all that is random.

    Raises:
        InputError: a value that is not allowed.

    >>> FinetuneSettings("v1.safetensors", "d.safetensors").gamma
    10.0
    """

    start: str
    discriminator: str | None = None
    version: Version = "v9"
    resolution: int = 256
    base: int = BASE
    width: int = WIDTH
    train: str = "recorded"
    batch: int = 8
    epochs: int = 72
    generator_lr: float = 1e-4
    discriminator_lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 1e-2
    cosine_epochs: int = 0
    gamma: float = 10.0
    r1_every: int = 1
    d_most: int = 4
    d_factor: float = 2.5
    g_most: int = 4
    g_factor: float = 2.0
    w_avg_decay: float = W_AVERAGE_DECAY
    ema_decay: float = 0.0
    noise: NoiseKind = "stored"
    mirror: bool = False
    resize: bool = False
    test_every: int = 50
    first_tests: int = 10
    first_test_every: int = 25
    test_images: int = 100
    psi: float = 1.0
    auroc_images: int = 0
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self, version=VERSIONS, train=TRAIN, noise=NOISES, precision=PRECISIONS)
        for field in fields(self):
            if field.type == "int":
                check_counts(self, 0 if field.name in FROM_ZERO else 1, field.name)
        rates, factors = ("generator_lr", "discriminator_lr"), ("d_factor", "g_factor")
        check_numbers(self, "numbers above 0, at most 1", lambda value: 0 < value <= 1, *rates)
        check_numbers(self, "numbers above 0", lambda value: 0 < value < math.inf, *factors)
        check_numbers(self, "numbers from 0 on", lambda value: 0 <= value < math.inf, "gamma", "weight_decay")
        decays = ("beta1", "beta2", "w_avg_decay", "ema_decay")
        check_numbers(self, "numbers from 0 to below 1", lambda value: 0 <= value < 1, *decays)
        check_numbers(self, "numbers from 0 to 1", lambda value: 0 <= value <= 1, "psi")
        if self.batch > GROUP and self.batch % GROUP:
            raise InputError(f"batch: got {self.batch}, allowed are 1 to {GROUP} or a multiple of {GROUP}")
        check_size(self.resolution, self.base, self.width)
        if self.discriminator is None and self.train == "recorded":
            raise InputError("discriminator: none came, and a new one must be trained whole; give a file, or train all")
        if self.start == NEW_START and self.train == "recorded":
            raise InputError("start: got 'new': such a generator must be trained whole; give a file, or train all")

    def is_test(self, epoch: int, idx: int) -> bool:
        """Whether a test follows on a batch of an epoch.

        >>> settings = FinetuneSettings("new", train="all")
        >>> [idx for idx in range(101) if settings.is_test(0, idx)]
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 25, 50, 75, 100]
        >>> [idx for idx in range(101) if settings.is_test(1, idx)]
        [0, 50, 100]
        """
        first = epoch == 0 and (idx < self.first_tests or idx % self.first_test_every == 0)
        return first or idx % self.test_every == 0


def make_generator(settings: FinetuneSettings) -> Generator:
    """The generator that a run starts from, with gradients where it is trained.

    Raises:
        InputError: its file cannot be used.
    """
    torch.manual_seed(settings.seed)
    version = settings.version
    if settings.start == NEW_START:
        model = Generator(version, settings.resolution, settings.base, settings.width)
    else:
        model = load_generator(settings.start)
        if (model.version, version) == ("v1", "v9"):
            model = start_v9(settings.start)
        elif model.version != version:
            raise InputError(f"{settings.start}: got a generator of version {model.version}, which makes no {version}")
    if settings.train == "recorded":
        freeze(model)
    return model


def make_discriminator(settings: FinetuneSettings, generator: Generator) -> Discriminator:
    """The discriminator that a run starts from, with gradients where it is trained.

    Raises:
        InputError: its file cannot be used, or it is for images of another size than the generator's.
    """
    torch.manual_seed(settings.seed + 1)
    if settings.discriminator is None:
        return Discriminator(generator.resolution, generator.base, generator.width)
    model = load_discriminator(settings.discriminator)
    if model.resolution != generator.resolution:
        name = settings.start if settings.start != NEW_START else "the new generator"
        raise InputError(
            f"{settings.discriminator}: judges images of {model.resolution}×{model.resolution}, but {name} "
            f"makes {generator.resolution}×{generator.resolution}"
        )
    if settings.train == "recorded":
        freeze(model)
    return model

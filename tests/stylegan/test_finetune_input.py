"""What a fine-tuning is given: settings, the recorded schedule, networks, images, and what is wrong with them."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.media.sheet import contact_sheet, picture_grid
from ohlora_fast.stylegan.discriminator import Discriminator
from ohlora_fast.stylegan.finetune_data import TrainingImages, read_square
from ohlora_fast.stylegan.finetune_settings import FinetuneSettings, make_discriminator, make_generator
from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.weights import save_weights

RECORDED = Path(__file__).parents[1] / "golden" / "stylegan_finetune_v9.csv"
NEW = FinetuneSettings("new", resolution=16, base=128, width=8, train="all")


def test_tests_come_when_they_were_recorded() -> None:
    with RECORDED.open(newline="") as stream:
        recorded = [(int(row["epoch"]), int(row["idx"])) for row in csv.DictReader(stream)]
    settings = FinetuneSettings("v1.safetensors", "d.safetensors")
    batches = 4930 // settings.batch
    expected = [
        (epoch, idx) for epoch in range(settings.epochs) for idx in range(batches) if settings.is_test(epoch, idx)
    ]
    assert recorded == [*expected, (settings.epochs, 0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "none"}, r"train: got 'none', allowed are recorded, all"),
        ({"train": "recorded"}, r"discriminator: none came, and a new one must be trained whole; give a file"),
        ({"train": "recorded", "discriminator": "d"}, r"start: got 'new': such a generator must be trained whole"),
        ({"batch": 0}, r"batch: got 0, allowed are whole numbers from 1 on"),
        ({"batch": 20}, r"batch: got 20, allowed are 1 to 16 or a multiple of 16"),
        ({"auroc_images": -1}, r"auroc_images: got -1, allowed are whole numbers from 0 on"),
        ({"gamma": -1.0}, r"gamma: got -1.0, allowed are numbers from 0 on"),
        ({"generator_lr": 2.0}, r"generator_lr: got 2.0, allowed are numbers above 0, at most 1"),
        ({"d_factor": 0.0}, r"d_factor: got 0.0, allowed are numbers above 0"),
        ({"ema_decay": 1.0}, r"ema_decay: got 1.0, allowed are numbers from 0 to below 1"),
        ({"psi": 1.5}, r"psi: got 1.5, allowed are numbers from 0 to 1"),
        ({"resolution": 60}, r"resolution: got 60, allowed are 8, 16"),
        ({"noise": "none"}, r"noise: got 'none', allowed are stored, fresh"),
    ],
)
def test_wrong_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(NEW, **changes)  # type: ignore[arg-type]


def test_networks_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    for name, model in (
        ("v1", Generator("v1", 16, 128, 8)), ("v9", Generator("v9", 16, 128, 8)), ("d32", Discriminator(32, 128, 8)),
    ):  # fmt: skip
        save_weights(model, tmp_path / f"{name}.safetensors")
    v1, v9, d32 = (str(tmp_path / f"{name}.safetensors") for name in ("v1", "v9", "d32"))
    assert make_generator(replace(NEW, start=v1)).version == "v9"
    assert make_generator(replace(NEW, start=v1, version="v1")).version == "v1"
    with pytest.raises(InputError, match=r"v9.safetensors: got a generator of version v9, which makes no v1"):
        make_generator(replace(NEW, start=v9, version="v1"))
    with pytest.raises(InputError, match=r"d32.safetensors: judges images of 32×32, but the new generator makes 16×16"):
        make_discriminator(replace(NEW, discriminator=d32), make_generator(NEW))
    settings = replace(NEW, start=v9, discriminator=d32)
    with pytest.raises(InputError, match=r"d32.safetensors: judges images of 32×32, but .*v9.safetensors makes 16×16"):
        make_discriminator(settings, make_generator(settings))
    with pytest.raises(InputError, match=r"checkpoint .*d32.safetensors: \d+ missing"):
        make_generator(replace(NEW, start=d32))


def test_a_start_is_a_function_of_the_seed() -> None:
    one, same, other = (make_generator(replace(NEW, seed=seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["mapping.dense0.weight"], other["mapping.dense0.weight"])


def test_images_are_cropped_and_resized_or_refused(tmp_path: Path) -> None:
    pixels = np.zeros((30, 50, 4), np.uint8)
    pixels[:, 10:40] = (200, 100, 50, 128)  # the central square
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image = read_square(tmp_path / "wide.png", 16, resize=True)
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None].expand(3, 16, 16))
    assert torch.equal(read_square(tmp_path / "wide.png", 30, resize=True)[0], torch.full((30, 30), 200))
    with pytest.raises(InputError, match=r"wide.png: got 50×30 pixels, allowed is 16×16, or with resize any size"):
        read_square(tmp_path / "wide.png", 16)


def test_images_are_the_same_in_memory_and_on_demand(disks: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(disks, tmp_path / "disks")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:80])
    paths = sorted(folder.glob("*.png"))
    with pytest.warns(UserWarning, match=r"cannot read .*05.png: .*; left out"):
        held = TrainingImages(paths, 16)
    with pytest.warns(UserWarning, match="left out"):
        read = TrainingImages(paths, 16, in_memory=1000)
    assert held.images is not None
    assert read.images is None
    assert len(held) == len(read) == 19
    assert all(torch.equal(held[index], read[index]) for index in range(19))
    assert held.fingerprint() == read.fingerprint() != TrainingImages(paths[6:], 16).fingerprint()
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(InputError, match=r"cannot read .*x.png: .*; of 1 images none can be read"):
        TrainingImages([tmp_path / "x.png"], 16)


def test_command_line_names_bad_input(disks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(Generator("v9", 16, 128, 8), tmp_path / "v9.safetensors")
    new = ["--from", "new", "--resolution", "16", "--base", "128", "--width", "8", "--train", "all"]
    for arguments, message in (
        ([str(tmp_path / "none"), *new], "none: No such file or directory; of 1 images none can be read"),
        ([str(disks), *new, "--resolution", "32"], "00.png: got 16×16 pixels, allowed is 32×32"),
        ([str(disks), *new, "--batch", "32"], "batch: got 32 on 1 devices, but there are only 20 training photos"),
        ([str(disks), *new, "--scorer", str(tmp_path / "v9.safetensors")], "v9.safetensors: not a property's network"),
        ([str(disks), *new, "--precision", "fp16"], "precision: fp16 needs an NVIDIA GPU; allowed on cpu are fp32"),
        ([str(disks), *new, "--device", "gpu"], "device: 'gpu'"),
        ([str(disks), "--from", str(tmp_path / "v9.safetensors")], "discriminator: none came"),
        ([str(disks), "--from", str(tmp_path / "v8.safetensors"), "--train", "all"], "v8.safetensors"),
    ):
        assert main(["stylegan", "finetune", *arguments, "-o", str(tmp_path / "run")]) == 1
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_grids_and_captions() -> None:
    red, blue = (np.full((4, 6, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255)))
    grid = picture_grid([red, blue, red], columns=2, gap=1)
    assert grid.shape == (9, 13, 3)
    assert (grid[:4, :6] == red).all()
    assert (grid[:4, 7:] == blue).all()
    assert (grid[5:, 7:] == 255).all()
    plain, captioned = (contact_sheet([[red]], [""], ["real"], 32, captions) for captions in ([], [["+1.25"]]))
    assert captioned.shape[0] > plain.shape[0]
    assert (captioned[plain.shape[0] - 4 :] < 128).any()

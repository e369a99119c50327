"""Presets and settings that are not allowed."""

import pytest

from ohlora_fast.distill.module import make_student
from ohlora_fast.distill.settings import PRESETS, Settings, settings_from
from ohlora_fast.errors import InputError
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.weights import save_student


def test_the_recorded_recipe():
    recorded = PRESETS["ohlora-v4"]
    assert (recorded.validation, recorded.test, recorded.batch, recorded.epochs) == (0.1, 0.1, 16, 240)
    assert (recorded.encoder_lr, recorded.head_lr, recorded.gamma, recorded.patience) == (1e-4, 1e-4, 0.975, 20)
    assert (recorded.encoder, recorded.head_stride, recorded.loss) == ("efficientnet-b0", 1, "soft-bce")
    assert recorded.schedule == "exponential"


def test_presets_know_their_names():
    assert [preset.preset for preset in PRESETS.values()] == list(PRESETS)


def test_options_change_a_preset():
    changed = settings_from("ohlora-v4", {"loss": "mse", "seed": 0, "epochs": None, "patience": 0})
    assert (changed.loss, changed.epochs, changed.patience, changed.preset) == ("mse", 240, 0, "ohlora-v4")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "focal"}, "loss: got 'focal', allowed are soft-bce, mse, kl, dice"),
        ({"schedule": "cosine"}, "schedule: got 'cosine'"),
        ({"precision": "int8"}, "precision: got 'int8'"),
        ({"augmentation": "wild"}, "augmentation: got 'wild', allowed are none, light, mild, strong"),
        ({"upsampling": "cubic"}, "upsampling: got 'cubic', allowed are nearest, bilinear"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"patience": -1}, "patience: got -1"),
        ({"minutes": -0.5}, "minutes: got -0.5"),
        ({"ema_decay": 1.5}, "ema_decay: got 1.5"),
        ({"validation": 0.0}, "validation must be above 0"),
        ({"validation": 0.6, "test": 0.4}, "the sum below 1"),
    ],
)
def test_what_is_not_allowed_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start": "FILE"}, "nearest"),
        ({"start": "FILE", "upsampling": "bilinear"}, "bilinear"),
        ({"start": "scratch"}, "bilinear"),
        ({"start": "scratch", "upsampling": "nearest"}, "nearest"),
    ],
)
def test_upsampling_is_the_starts_unless_asked_for(tmp_path, changes, expected):
    save_student(EffiSegNet(head_channels=8), tmp_path / "start.safetensors")
    changes |= {"start": changes["start"].replace("FILE", str(tmp_path / "start.safetensors"))}
    assert make_student(Settings(head_channels=8, **changes)).upsampling == expected


def test_the_recorded_student_repeats_values():
    assert make_student(PRESETS["ohlora-v4"]).upsampling == "nearest"


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="preset: got 'best', allowed are default, imagenet, ohlora-v4"):
        settings_from("best", {})
    with pytest.raises(InputError, match="settings: got 'colour'"):
        settings_from("default", {"colour": 1})

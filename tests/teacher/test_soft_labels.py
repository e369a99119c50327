"""The recorded layout of soft labels, and its ledger."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import read_photo, write_photo
from ohlora_fast.teacher.engines import OnnxTeacher
from ohlora_fast.teacher.soft_labels import LEDGER, plan_labels, read_ledger, to_face, write_labels

WEIGHTS = [[0, 0, 0], [9, 0, 0]]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Five pictures of several shapes and kinds."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    paths = []
    for name, shape in [("figaro_1.png", (40, 30, 3)), ("celeba_2_x.png", (300, 500, 3)), ("alpha.png", (9, 9, 4)),
                        ("figaro_3.png", (224, 224, 3)), ("one.png", (1, 1, 3))]:  # fmt: skip
        paths.append(tmp_path / "in" / name)
        write_photo(paths[-1], rng.integers(0, 256, shape, np.uint8))
    return paths


def label(images, folder, teacher, batch=2):
    asked, todo = plan_labels(images, folder, teacher)
    return asked, list(write_labels(todo, folder, teacher, batch))


def test_faces_and_labels(images, tmp_path, pixelwise):
    teacher = OnnxTeacher(pixelwise(WEIGHTS), 1, "unit")
    asked, outcomes = label(images, tmp_path / "out", teacher)
    assert [outcome.row for outcome in outcomes] == asked
    assert [(row.index, row.source) for row in asked] == list(enumerate(["figaro", "celeba", "alpha", "figaro", "one"]))
    assert len(list((tmp_path / "out").iterdir())) == 11
    for row, path in zip(asked, images, strict=True):
        face_file, label_file = row.files(tmp_path / "out")
        with Image.open(face_file) as face, Image.open(label_file) as grey:
            assert (face.mode, face.size, grey.mode, grey.size) == ("RGB", (224, 224), "L", (224, 224))
            pixels, found = np.asarray(face), np.asarray(grey)
        rgb = Image.fromarray(np.ascontiguousarray(read_photo(path).pixels[..., :3]))
        assert np.array_equal(pixels, np.asarray(rgb.resize((224, 224), Image.Resampling.BICUBIC)))
        expected = 255 / (1 + np.exp(-9 * pixels[..., 0].astype(float) / 255))
        assert np.abs(found - expected).max() <= 0.5 + 1e-3
        assert found.min() >= 127


def test_the_ledger_binds_indices_to_images(images, tmp_path, pixelwise):
    teacher, out = OnnxTeacher(pixelwise(WEIGHTS), 1, "unit"), tmp_path / "out"
    label(images[:2], out, teacher)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name != LEDGER}
    asked, outcomes = label([images[3], images[1], images[4]], out, teacher)
    assert [row.index for row in asked] == [2, 1, 3]
    assert [outcome.row.index for outcome in outcomes] == [2, 3]
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    rows = read_ledger(out)
    assert [row.path for row in rows] == [str(images[index]) for index in (0, 1, 3, 4)]
    assert {(row.teacher, row.sha256, row.settings) for row in rows} == {
        ("model.onnx", teacher.sha256, "hair-channel=1 input-range=unit activation=softmax")
    }


def test_half_a_pair_is_done_again(images, tmp_path, pixelwise):
    teacher, out = OnnxTeacher(pixelwise(WEIGHTS), 1, "unit"), tmp_path / "out"
    label(images, out, teacher)
    (out / "parsing_hair_label_000003.png").unlink()
    (out / "face_000001.png").unlink()
    (out / ".ohlora-0123456789ab.tmp").touch()
    _, outcomes = label(images, out, teacher)
    assert [outcome.row.index for outcome in outcomes] == [1, 3]
    assert len(os.listdir(out)) == 11


def test_another_teacher_is_refused(images, tmp_path, pixelwise):
    out = tmp_path / "out"
    label(images[:1], out, OnnxTeacher(pixelwise(WEIGHTS), 1, "unit"))
    before = (out / LEDGER).read_bytes()
    for other in (
        OnnxTeacher(pixelwise(WEIGHTS), 0, "unit"),
        OnnxTeacher(pixelwise([[0, 1, 0], [9, 0, 0]]), 1, "unit"),
    ):
        with pytest.raises(InputError, match=r"labels\.csv: is by the teacher model\.onnx \(.*\), not by model\.onnx"):
            label(images, out, other)
    assert (out / LEDGER).read_bytes() == before


def test_an_unreadable_image_is_told_of_and_keeps_its_index(images, tmp_path, pixelwise):
    teacher, out = OnnxTeacher(pixelwise(WEIGHTS), 1, "unit"), tmp_path / "out"
    good = images[1].read_bytes()
    images[1].write_bytes(good[:100])
    _, outcomes = label(images, out, teacher)
    assert [outcome.row.index for outcome in outcomes if outcome.failure] == [1]
    (failure,) = [outcome.failure for outcome in outcomes if outcome.failure]
    assert failure.startswith(f"cannot read {images[1]}: ")
    assert not (out / "face_000001.png").exists()
    images[1].write_bytes(good)
    _, outcomes = label(images, out, teacher)
    assert [(outcome.row.index, outcome.failure) for outcome in outcomes] == [(1, None)]


def test_a_size_of_its_own(images, tmp_path, pixelwise):
    teacher = OnnxTeacher(pixelwise(WEIGHTS, ("N", 3, 32, 48)), 1, "unit")
    (row, *_), _ = label(images[1:2], tmp_path / "out", teacher)
    seen = Image.fromarray(read_photo(images[1]).pixels).resize((48, 32), Image.Resampling.BICUBIC)
    prob = 1 / (1 + np.exp(-9 * np.asarray(seen)[..., 0].astype(np.float32) / 255))
    expected = 255 * cv2.resize(prob, (224, 224), interpolation=cv2.INTER_LINEAR)
    with Image.open(row.files(tmp_path / "out")[1]) as grey:
        assert np.abs(np.asarray(grey) - expected).max() <= 0.5 + 1e-2


def test_maps_of_any_size_stay_probabilities():
    rng = np.random.default_rng(0)
    for shape in [(7, 7), (500, 600), (100, 600), (224, 224)]:
        face = to_face(rng.integers(0, 2, shape).astype(np.float32))
        assert face.shape == (224, 224)
        assert face.min() >= 0
        assert face.max() <= 1


def test_what_is_no_number_is_refused(images, tmp_path, pixelwise):
    teacher = OnnxTeacher(pixelwise([[-1, 0, 0], [0, 1, 0]], last="Sqrt"), 1, "unit", "softmax")
    with pytest.raises(InputError, match=r"^teacher model\.onnx: gives what is no number for "):
        label(images, tmp_path / "out", teacher)
    assert os.listdir(tmp_path / "out") == [LEDGER]


def test_the_folder_may_not_hold_the_images(images, tmp_path, pixelwise):
    with pytest.raises(
        InputError, match=r"^folder: .*in came, which holds the image .*figaro_1\.png; allowed is another"
    ):
        label(images, tmp_path / "in", OnnxTeacher(pixelwise(WEIGHTS), 1, "unit"))
    assert not (tmp_path / "in" / LEDGER).exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b\n", r"labels\.csv: has the columns a,b, expected index,path,source,teacher,sha256,settings$"),
        ("", r"labels\.csv: not a readable ledger of soft labels"),
        ("index,path,source,teacher,sha256,settings\nx,1,2,3,4,5\n", r"labels\.csv: not a readable ledger"),
        ("index,path,source,teacher,sha256,settings\n0,1,2\n", r"labels\.csv: not a readable ledger"),
        ("index,path,source,teacher,sha256,settings\n0,a,a,t,s,\n0,b,b,t,s,\n", r"holds an index or an image twice$"),
    ],
)
def test_a_damaged_ledger_is_refused(tmp_path, text, line):
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(InputError, match=line):
        read_ledger(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_names_of_any_bytes(tmp_path, pixelwise):
    names = [b'a,b\n"c.png', b"\xff\xfe.png", "é.png".encode()]
    os.mkdir(tmp_path / "in")
    paths = [os.path.join(tmp_path, "in", os.fsdecode(name)) for name in names]
    for path in paths:
        write_photo(path, np.zeros((4, 4, 3), np.uint8))
    teacher = OnnxTeacher(pixelwise(WEIGHTS), 1, "unit")
    label(paths, tmp_path / "out", teacher)
    assert [row.path for row in read_ledger(tmp_path / "out")] == paths
    assert label(paths, tmp_path / "out", teacher)[1] == []

"""Students as teachers: what they are shown, and what becomes of their maps."""

import shutil
from dataclasses import replace

import cv2
import torch
import torch.nn.functional as F

from ohlora_fast.distill.augment import resized
from ohlora_fast.distill.settings import Settings
from ohlora_fast.distill.train import BEST, Run
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.weights import load_student, save_student

TINY = Settings(
    start="scratch",
    head_channels=8,
    size=64,
    epochs=2,
    batch=4,
    validation=0.2,
    frozen_norms=False,
    augmentation="none",
)


def test_teachers_see_the_bent_photo_and_set_its_target(blobs, tmp_path):
    torch.manual_seed(0)
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for path in paths:
        student = EffiSegNet(head_channels=8, size=64)
        student.conv6.weight.data *= 3000  # so that its maps are more than grey
        save_student(student, path)
    taught = replace(TINY, augmentation="strong", teacher=list(map(str, paths)), teacher_weight=0.25, agreement=0.0)
    module = Run(blobs, tmp_path / "run", taught).module
    seen, targets = [], []
    module.logits = lambda x: seen.append(x) or module.student.logits(x)
    module.loss = lambda logits, target: targets.append(target) or logits.mean()
    module.log = lambda *args, **kwargs: None
    batch = Run(blobs, tmp_path / "plain", TINY).photos.__getitems__([0, 1, 2])
    module.training_step(batch, 0)
    torch.manual_seed(0)
    _, masks = module.augment(*(part.float() / 255 for part in batch))
    with torch.no_grad():
        x = seen[0]
        both = torch.stack([(load_student(path)(x) + load_student(path)(x.flip(-1)).flip(-1)) / 2 for path in paths])
        maps = both.mean(0)
    assert maps.std() > 0.01
    assert (targets[0] - (0.75 * masks + 0.25 * maps)).abs().max() < 1e-4


def test_teachers_that_are_asked_once_change_the_masks_and_leave(blobs, tmp_path):
    torch.manual_seed(0)
    student = EffiSegNet(head_channels=8, size=64)
    student.conv6.weight.data *= 3000  # so that its maps are more than grey
    save_student(student, tmp_path / "teacher.safetensors")
    plain = Run(blobs, tmp_path / "plain", TINY)
    once = replace(TINY, teacher=[str(tmp_path / "teacher.safetensors")], teacher_once=True, agreement=0.0)
    run = Run(blobs, tmp_path / "run", once)
    with torch.inference_mode():
        x = resized(run.photos.images.float(), 64) * (2 / 255) - 1
        maps = (student.eval()(x) + student(x.flip(-1)).flip(-1)) / 2
        labels = 255 * F.interpolate(maps, run.photos.masks.shape[-2:], mode="bilinear")
    assert labels.std() > 3
    assert (run.photos.masks - (0.6 * plain.photos.masks + 0.4 * labels)).abs().max() <= 1
    assert not run.module.teachers
    run.fit(max_steps=2)
    assert Run(blobs, tmp_path / "run", once).photos.masks.equal(run.photos.masks)


def test_pairs_that_the_teacher_contradicts_are_left_out(blobs, tmp_path):
    data = shutil.copytree(blobs, tmp_path / "data")
    wrong = data / "masks" / "a_01.png"
    cv2.imwrite(str(wrong), 255 - cv2.imread(str(wrong), cv2.IMREAD_GRAYSCALE))
    Run(blobs, tmp_path / "teacher", replace(TINY, start="bundled", frozen_norms=True, epochs=5, ema_decay=0.5)).fit()
    settings = replace(TINY, start="bundled", teacher=[str(tmp_path / "teacher" / BEST)])
    run = Run(data, tmp_path / "run", settings)
    names = [pair.name for pair in run.training]
    assert "a_01" not in names
    assert len(names) >= 15
    assert len(run.photos) == len(names)


def test_a_student_of_another_size_learns_from_teachers_of_any(blobs, tmp_path):
    teacher = tmp_path / "teacher.safetensors"
    save_student(EffiSegNet(head_channels=8), teacher)
    settings = replace(TINY, size=96, teacher=[str(teacher)], agreement=0.0)
    run = Run(blobs, tmp_path / "run", settings)
    assert run.photos.images.shape[-2:] == (110, 110)
    assert run.module.augment.size == 224  # what the teacher sees is not made smaller first
    run.fit(max_steps=2)
    assert load_student(tmp_path / "run" / BEST).size == 96
    grown = Run(blobs, tmp_path / "grown", replace(TINY, start=str(tmp_path / "run" / BEST), size=None))
    assert grown.module.student.size == 96

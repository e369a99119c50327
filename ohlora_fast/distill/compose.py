"""Training pairs for a student that also sees what is not hair: portraits, street photos, photos without people.

    python -m ohlora_fast.distill.compose --hair HAIR --scenes SCENES --open OPEN -o DATA

writes DATA/images and DATA/masks as `ohlora-fast distill DATA` takes them. Sources, by which it balances and scores,
are those of HAIR (figaro, celeb) and ``scenes``, all the rest: street photos whole, cropped around the head as for the
head finder, and below it; photos without people, whole, in part, and cropped where the head finder errs; the faces of
OPEN; and heads a few dozen pixels high, enlarged. Masks made by people are mixed with the bundled student's soft
labels, and left out where it contradicts them; faces of OPEN have the mean of its soft labels and MediaPipe's, and are
left out where these contradict each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ohlora_fast.distill.data import find_pairs
from ohlora_fast.distill.metrics import iou
from ohlora_fast.errors import InputError
from ohlora_fast.heads.crops import window_around
from ohlora_fast.heads.finder import CLOSE_LOOK, LOOK, HeadFinder
from ohlora_fast.heads.sources import Photo, read_nothing, read_portraits, read_street
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import squash, to_input, unsquash
from ohlora_fast.student.rewrite import InferenceEffiSegNet
from ohlora_fast.student.weights import load_student

Array = np.ndarray[Any, Any]
Label = Callable[[Array], Array]

WRITTEN = 320
"""Longer side of what is written: distillation squashes it to 256."""
HAIR_SIZE = 288
"""Size of the student for the soft labels of HAIR: it gains little, but all that portraits have to gain."""
MIXED = 0.5
"""Weight of the soft label in a mask made by people."""
AGREEMENT, ALIKE = 0.5, 0.6
"""Least IoU of a mask and the student's soft label, and of two soft labels."""
CROPS = ((2.0, 2.8), (3.2, 5.0))
"""Sides of the crops of a street photo, in sides of the head's box; one is drawn from each range."""
SMALL, SMALL_SIDES = 0.3, (36, 128)
"""Share of the pairs with hair of which a small copy is made, enlarged again, and the copies' longer sides."""
ERRORS, ERROR_SCORE = 2, 0.1
"""Crops of a photo without people at what the head finder takes for heads, at most, and its least score there."""


def student_label(size: int) -> Label:
    """The bundled student's map of a photo (H, W, 3) at its size, the mean of the photo's and its mirror image's.

    The student sees squares of `size`: at 288 it is a little better than at the 224 that it was trained for.
    """
    import torch

    student = InferenceEffiSegNet(load_student(None, size), fold=True)

    @torch.inference_mode()
    def label(photo: Array) -> Array:
        seen = squash(photo, None, size)
        both = to_input(np.stack([seen, np.ascontiguousarray(seen[:, ::-1])]))
        maps = student(torch.from_numpy(both)).numpy()[:, 0]
        return unsquash((maps[0] + maps[1][:, ::-1]) / 2, *photo.shape[:2])

    return label


def mediapipe_label(path: Path) -> Label:
    """MediaPipe's hair segmenter, likewise. It needs the package ``ai-edge-litert``.

    Raises:
        InputError: the package is missing.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise InputError(f"{path}: needs the package ai-edge-litert: pip install ai-edge-litert") from None
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def one(photo: Array) -> Array:
        planes = np.zeros((1, 512, 512, 4), np.float32)  # the fourth: no mask of a frame before
        planes[0, :, :, :3] = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA) / np.float32(255)
        interpreter.set_tensor(given["index"], planes)
        interpreter.invoke()
        logits = interpreter.get_tensor(found["index"])[0]
        return 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))

    def label(photo: Array) -> Array:
        mean = (one(photo) + one(np.ascontiguousarray(photo[:, ::-1]))[:, ::-1]) / 2
        return np.clip(cv2.resize(mean, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR), 0, 1)

    return label


def labelled(folder: Path, label: Label) -> Iterator[tuple[str, Array, Array]]:
    """Pairs whose masks people made, mixed with a soft label."""
    for pair in find_pairs(folder):
        photo, mask = pair.load()
        mixed = mix(photo, mask / np.float32(255), label)
        if mixed is not None:
            yield pair.name, photo, mixed


def mix(photo: Array, truth: Array, label: Label) -> Array | None:
    """A mask with a soft label mixed in; None where the two contradict each other."""
    soft = label(photo)
    if iou(soft > 0.5, truth > 0.5) < AGREEMENT:
        return None
    mixed: Array = truth + MIXED * (soft - truth)
    return mixed


def street(folder: Path, label: Label, rng: Any) -> Iterator[tuple[str, Array, Array]]:
    """Street photos: crops around the head, every other one also whole, and half of them below the head."""
    for number, photo in enumerate(read_street(folder)):
        assert photo.hair is not None
        if not len(photo.heads):
            continue
        height, width = photo.pixels.shape[:2]
        truth = photo.hair / np.float32(255)
        whole, agreed = truth.copy(), False
        for index, (low, high) in enumerate(CROPS):
            window = window_around(photo.heads[0], height, width, rng.uniform(low, high))
            if window is None:
                continue
            crop = np.ascontiguousarray(photo.pixels[window.slices])
            mixed = mix(crop, truth[window.slices], label)
            if mixed is not None:
                yield f"scenes_crop_{number:04d}_{index}", crop, mixed
                whole[window.slices], agreed = mixed, True
        if agreed and number % 2 == 0:
            yield f"scenes_whole_{number:04d}", photo.pixels, whole
        elif agreed:
            rows = np.flatnonzero((truth > 0.1).any(1))
            chin = int(max(photo.heads[0, 3], rows.max(initial=0))) + 4
            below = photo.pixels[chin:]
            if len(below) > 0.3 * height:
                yield f"scenes_below_{number:04d}", below, np.zeros(below.shape[:2], np.float32)


def nothing(folder: Path, rng: Any) -> Iterator[tuple[str, Array, Array]]:
    """Photos without people: each whole, as a window, and cropped around what the head finder takes for heads."""
    finder = HeadFinder()
    for number, photo in enumerate(read_nothing(folder)):
        height, width = photo.pixels.shape[:2]
        side = int(rng.uniform(0.35, 0.8) * min(height, width))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        for index, pixels in enumerate((photo.pixels, photo.pixels[top : top + side, left : left + side])):
            yield f"scenes_nothing_{number:04d}_{index}", pixels, np.zeros(pixels.shape[:2], np.float32)
        boxes, scores = (
            np.concatenate(part) for part in zip(*(finder.look(photo.pixels, longer, ERROR_SCORE)
                                                   for longer in (LOOK, CLOSE_LOOK)), strict=True)
        )  # fmt: skip
        for index, box in enumerate(boxes[np.argsort(-scores, kind="stable")][:ERRORS]):
            window = window_around(box, height, width, rng.uniform(1.6, 3.2))
            if window is not None:
                crop = np.ascontiguousarray(photo.pixels[window.slices])
                yield f"scenes_error_{number:04d}_{index}", crop, np.zeros(crop.shape[:2], np.float32)


def faces(photos: list[Photo], first: Label, second: Label) -> Iterator[tuple[str, Array, Array]]:
    """Faces under the mean of two soft labels, where these agree."""
    for number, photo in enumerate(photos):
        one, other = first(photo.pixels), second(photo.pixels)
        if iou(one > 0.5, other > 0.5) >= ALIKE:
            yield f"scenes_face_{number:04d}", photo.pixels, (one + other) / 2


def small(photo: Array, rng: Any) -> Array:
    """A photo as it looks where few pixels show it: shrunk, compressed, enlarged to its size."""
    height, width = photo.shape[:2]
    scale = np.exp(rng.uniform(*np.log(SMALL_SIDES))) / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    few = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", few, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))])[1]
    few = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR)


def write(out: Path, name: str, photo: Array, mask: Array) -> None:
    """Write a pair, shrunk to `WRITTEN`."""
    scale = min(1.0, WRITTEN / max(photo.shape[:2]))
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    pixels, soft = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (photo, mask))
    cv2.imwrite(str(out / "images" / f"{name}.jpg"), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    cv2.imwrite(str(out / "masks" / f"{name}.png"), np.rint(255 * np.clip(soft, 0, 1)).astype(np.uint8))


def compose(out: str | Path, hair: str | Path | None, scenes: str | Path | None, opened: str | Path | None) -> int:
    """Write the pairs of the folders that are given, and return how many there are.

    Raises:
        InputError: a folder lacks something, or ``out`` exists.
    """
    out = Path(out)
    if out.exists():
        raise InputError(f"{out}: exists already; expected a new folder")
    (rng, copies), label = np.random.default_rng(0).spawn(2), student_label(SIZE)
    parts: list[Iterator[tuple[str, Array, Array]]] = []
    if scenes is not None:
        parts += [street(Path(scenes, "ccp", "train"), label, rng), nothing(Path(scenes, "nothing", "train"), rng)]
    if opened is not None:
        second = mediapipe_label(Path(opened, "mediapipe_hair.tflite"))
        parts.append(faces(read_portraits(Path(opened)), label, second))
    if hair is not None:
        parts.append(labelled(Path(hair), student_label(HAIR_SIZE)))
    for part in ("images", "masks"):
        (out / part).mkdir(parents=True)
    count = 0
    for name, photo, mask in tqdm((pair for part in parts for pair in part), unit="pair", disable=None):
        write(out, name, photo, mask)
        count += 1
        if copies.random() < SMALL and (mask > 0.5).any():
            write(out, f"scenes_small__{name}", small(photo, copies), mask)
            count += 1
    return count


def main() -> None:
    """Read the command line and compose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hair", metavar="HAIR", help="images/ and masks/ made by people")
    parser.add_argument("--scenes", metavar="SCENES", help="ccp/train and nothing/train")
    parser.add_argument("--open", metavar="OPEN", dest="opened", help="faces/, faces.json and mediapipe_hair.tflite")
    parser.add_argument("-o", "--out", required=True, metavar="DATA", help="a new folder")
    args = parser.parse_args()
    try:
        print(compose(args.out, args.hair, args.scenes, args.opened), "pairs")
    except InputError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()

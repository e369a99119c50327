"""Watch the portrait network learn from nothing: a small one, at 64×64, on two CPU cores within an hour.

    python examples/learn_portraits.py PHOTOS -o RUN

PHOTOS is a folder with at least 300 portraits, the heads in about the same place. A scorer of quality is trained on
some of them against damaged copies, a generator and a discriminator on others, and RUN/report/report.html shows the
losses, how well the discriminator tells the two apart (AUROC), the score, and how images of fixed latents came to be.
The same command goes on where it stopped. Everything here is also had from `ohlora-fast stylegan`, step by step.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

from ohlora_fast.cli import main as ohlora_fast
from ohlora_fast.media.files import written_whole

SIDE = 64
MOST = 500
"""Photos that the networks are trained on; the scorer takes others, half as many."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="RUN")
    parser.add_argument("--steps", type=int, default=2000, help="batches of 16 (default 2000)")
    parser.add_argument("--scorer-epochs", type=int, default=25, help="at most (default 25)")
    args = parser.parse_args()

    photos = sorted(path for path in args.photos.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(photos) < 300:
        parser.error(f"{args.photos}: holds {len(photos)} photos (.jpg, .png), needed are 300 or more")
    trained = min(MOST, 2 * len(photos) // 3)
    scored = photos[trained : trained + trained // 2]

    labels = label_good_and_damaged(scored, args.out / "quality")
    scorer = args.out / "scorer"
    run(
        "train-scorer", labels, "--property", "quality", "-o", scorer,
        "--folds", 2, "--epochs", args.scorer_epochs, "--patience", 5, "--lr", 3e-4,
    )  # fmt: skip
    run(
        "finetune", *photos[:trained], "--resize", "--mirror", "-o", args.out / "run",
        "--scorer", scorer / "scorer.safetensors",
        # From nothing, so all of it is trained, at the rates that StyleGAN was trained with from nothing.
        "--from", "new", "--train", "all", "--resolution", SIDE, "--base", 1024, "--width", 64,
        "--generator-lr", 1e-3, "--discriminator-lr", 1e-3, "--beta1", 0, "--beta2", 0.99, "--noise", "fresh",
        "--batch", 16, "--r1-every", 4, "--ema-decay", 0.995,
        "--epochs", 1000, "--max-steps", args.steps, "--test-every", 10, "--auroc-images", 64, "--psi", 0.8,
        "--sample-every", max(1, args.steps // 12),
    )  # fmt: skip
    run("report", args.out / "run", "-o", args.out / "report", "--name", "64×64 from nothing")
    return 0


def run(*command: object) -> None:
    """Run a subcommand of `ohlora-fast stylegan`; whatever is wrong, it has said."""
    if code := ohlora_fast(["stylegan", *map(str, command)]):
        raise SystemExit(code)


def label_good_and_damaged(photos: Sequence[Path], folder: Path) -> Path:
    """Write each photo at 64×64 once as it is and once damaged, and a list with the labels 1 and 0."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = folder / "labels.csv"
    if labels.exists():
        return labels
    rng = random.Random(0)
    rows = [("path", "label")]
    for index, path in enumerate(photos):
        good = ImageOps.fit(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), (SIDE, SIDE))
        for label, image in ((1, good), (0, damaged(good, index, rng))):
            name = f"{index:04d}-{label}.png"
            image.save(folder / name)
            rows.append((name, str(label)))
    with written_whole(labels) as file:
        file.write("".join(f"{name},{label}\n" for name, label in rows).encode())
    return labels


def damaged(image: Image.Image, index: int, rng: random.Random) -> Image.Image:
    """An image blurred, covered with noise, cut up and shuffled, or in few large squares, in turns."""
    kind = index % 4
    if kind == 0:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(3, 12)))
    if kind == 1:
        noise = Image.frombytes("RGB", image.size, rng.randbytes(3 * SIDE * SIDE))
        return Image.blend(image, noise.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))), rng.uniform(0.4, 0.9))
    if kind == 2:
        edge = SIDE // rng.choice((4, 8))
        corners = [(x, y) for y in range(0, SIDE, edge) for x in range(0, SIDE, edge)]
        shuffled = Image.new("RGB", image.size)
        for corner, (x, y) in zip(corners, rng.sample(corners, len(corners)), strict=True):
            shuffled.paste(image.crop((x, y, x + edge, y + edge)), corner)
        return shuffled
    few = rng.choice((4, 6, 8))
    return image.resize((few, few), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


if __name__ == "__main__":
    raise SystemExit(main())

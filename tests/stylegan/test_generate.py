"""Folders of portraits: each picture by itself, whatever is made beside it, before it or after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import read_photo
from ohlora_fast.stylegan.drawing import Labels, latents, parse_labels
from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.painter import Painter
from ohlora_fast.stylegan.weights import load_generator, save_weights

COUNT = 5


def generate(generator: Path, *arguments: object) -> int:
    return main(["stylegan", "generate", str(generator), "--device", "cpu", *map(str, arguments)])


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("0*"))}


@pytest.fixture(scope="module")
def made(tiny_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `COUNT` pictures with labels and noise of their own."""
    folder = tmp_path_factory.mktemp("made") / "pictures"
    assert generate(tiny_generator, "-n", COUNT, "-o", folder, "--labels", "random", "--noise", "fresh") == 0
    return folder


def test_pictures_are_the_generators(tiny_generator: Path, tmp_path: Path) -> None:
    assert generate(tiny_generator, "-n", 2, "-o", tmp_path / "out", "--psi", 0.5, "--truncation-layers", 3) == 0
    with torch.inference_mode():
        expected = load_generator(tiny_generator)(latents(0, [0, 1]), None, 0.5, 3)
    for index, image in enumerate(expected):
        pixels = read_photo(tmp_path / "out" / f"00000{index}.png").pixels
        wanted = (image.permute(1, 2, 0).numpy() + 1) * 127.5
        assert np.abs(pixels - wanted.clip(0, 255)).max() < 0.51
        assert pixels.std() > 20


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_neither_batch_nor_neighbours_count(tiny_generator: Path, made: Path, tmp_path: Path, batch: int) -> None:
    out, same = tmp_path / "out", ["--labels", "random", "--noise", "fresh", "--batch", batch]
    assert generate(tiny_generator, "--index", 4, 1, "-o", out, *same) == 0
    assert pictures(out) == {name: data for name, data in pictures(made).items() if name[5] in "14"}
    assert len(set(pictures(made).values())) == COUNT


def test_each_setting_makes_other_pictures(tiny_generator: Path, made: Path, tmp_path: Path) -> None:
    given = {"--seed": "0", "--labels": "random", "--noise": "fresh", "--psi": "0.7", "--truncation-layers": "8"}
    changes = {"--seed": "1", "--labels": "zeros", "--noise": "stored", "--psi": "0.6", "--truncation-layers": "2"}
    for number, (name, value) in enumerate(changes.items()):
        arguments = [part for pair in (given | {name: value}).items() for part in pair]
        assert generate(tiny_generator, "-n", 1, "-o", tmp_path / str(number), *arguments) == 0
        assert pictures(tmp_path / str(number))["000000.png"] != pictures(made)["000000.png"]


def test_a_larger_count_makes_only_what_is_missing(
    tiny_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for count, now in ((2, 2), (4, 2), (3, 0)):
        assert generate(tiny_generator, "-n", count, "-o", out, "--format", "jpg") == 0
        assert capsys.readouterr().out == f"{out}: {count} pictures, {now} of them made now\n"
    assert list(pictures(out)) == [f"00000{index}.jpg" for index in range(4)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_stopped_at_any_moment_it_goes_on(tiny_generator: Path, tmp_path: Path, number: signal.Signals) -> None:
    out, count = tmp_path / "out", 60
    arguments = ["stylegan", "generate", str(tiny_generator), "-n", str(count), "-o", str(out), "--device", "cpu"]
    command = [sys.executable, "-m", "ohlora_fast.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(out.glob("*.png"))) < 3:
        time.sleep(0.002)
    process.send_signal(number)
    _, error = process.communicate()
    done = pictures(out)
    assert 3 <= len(done) < count
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert error.endswith(f"of {count} pictures are whole in {out}; the same command makes the rest\n")
    times = {name: (out / name).stat().st_mtime_ns for name in done}
    assert main(arguments) == 0
    assert {name: (out / name).stat().st_mtime_ns for name in done} == times
    assert sorted(os.listdir(out)) == sorted([*(f"{index:06}.png" for index in range(count)), "settings.json"])
    assert generate(tiny_generator, "--index", 0, 30, 59, "-o", tmp_path / "unbroken") == 0
    assert pictures(tmp_path / "unbroken").items() <= pictures(out).items()


def test_a_folder_of_other_pictures_is_refused(
    tiny_generator: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*arguments: object) -> str:
        assert generate(*arguments) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    before = pictures(made)
    same = ["-n", COUNT, "-o", made, "--labels", "random", "--noise", "fresh"]
    assert "(seed: 0 there, 3 now); choose another folder\n" in refusal(tiny_generator, *same, "--seed", 3)
    save_weights(Generator("v1", resolution=8, width=4), tmp_path / "other.safetensors")
    assert "holds a run with other settings (checkpoint: " in refusal(tmp_path / "other.safetensors", *same)
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    line = f"{tmp_path}: holds mine.png, of which no settings.json tells; choose another folder\n"
    assert line in refusal(tiny_generator, "-n", 1, "-o", tmp_path)
    assert "is a file" in refusal(tiny_generator, "-n", 1, "-o", tmp_path / "mine.png")
    (made / "settings.json").write_text("{")
    assert "settings.json: damaged" in refusal(tiny_generator, *same)
    assert pictures(made) == before


def test_labels_of_a_file(tiny_generator: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "labels.csv", tmp_path / "out"
    file.write_text("eyes,hair,length,mouth,pose,mean,deviation\n1,0,0,0,0,0,0\n0,0,0,0,-2.5,0,1e-1\n\n")
    labels = parse_labels(str(file))
    assert labels.of(0, [1, 0]).tolist() == [[0, 0, 0, 0, -2.5, 0, pytest.approx(0.1)], [1, 0, 0, 0, 0, 0, 0]]
    assert generate(tiny_generator, "-n", 2, "-o", out, "--labels", file) == 0
    assert generate(tiny_generator, "--index", 1, "-o", tmp_path / "one", "--labels", "0,0,0,0,-2.5,0,0.1") == 0
    assert pictures(out)["000001.png"] == pictures(tmp_path / "one")["000001.png"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1,2", "2 numbers came, '1,2'; allowed are zeros, random, 7 numbers"),
        ("nan,0,0,0,0,0,0", "there is no such file"),
        ("gone.csv", "'gone.csv' came, and there is no such file"),
        ("short.csv", "row 2 is '1,2,3'; allowed are 7 numbers"),
        ("empty.csv", "holds no labels"),
        ("bytes.csv", "not readable as CSV"),
    ],
)
def test_wrong_labels_are_named(text: str, line: str) -> None:
    Path("short.csv").write_text("0,0,0,0,0,0,0\n1,2,3\n")
    Path("empty.csv").write_text("a,b\n")
    Path("bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=line):
        parse_labels(text)


def test_labels_must_be_as_many_as_pictures(
    tiny_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.csv").write_text("0,0,0,0,0,0,0\n1,0,0,0,0,0,0\n")
    more = ["-o", tmp_path / "out", "--labels", tmp_path / "two.csv"]
    assert generate(tiny_generator, "-n", 3, *more) == 1
    assert "2 rows came for 3 pictures; allowed are one row, or one for each" in capsys.readouterr().err
    assert generate(tiny_generator, "--index", 0, 2, *more) == 1
    assert "2 rows came, and none is for picture 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_values_that_are_not_finite_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Generator("v1", resolution=8, width=4)
    model.synthesis.output.bias.data.fill_(float("nan"))
    save_weights(model, tmp_path / "broken.safetensors")
    assert generate(tmp_path / "broken.safetensors", "-n", 1, "-o", tmp_path / "out") == 1
    assert "broken.safetensors: its pictures hold NaN or infinite values" in capsys.readouterr().err
    assert not pictures(tmp_path / "out")


@pytest.mark.parametrize(
    "arguments", [[], ["-n", "0"], ["--seed", "-1"], ["--seed", "4294967296"], ["--psi", "inf"], ["--noise", "loud"]]
)
def test_wrong_usage(tiny_generator: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    count = [] if "-n" in arguments or not arguments else ["-n", "1"]
    assert generate(tiny_generator, *count, "-o", "out", *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_fresh_noise_is_each_pictures_own() -> None:
    """Of one latent, so that nothing else differs."""
    model = Generator("v1", resolution=8, width=4)
    for layer in model.synthesis.layers:
        layer.apply_noise.weight.data.fill_(1)
    sources = [torch.Generator().manual_seed(number) for number in (1, 2, 1)]
    with torch.inference_mode():
        one, two, same = model(torch.ones(3, 512), noise="fresh", rng=sources)
    assert torch.allclose(one, same, atol=1e-5)
    assert not torch.allclose(one, two, atol=1e-2)


def test_no_label_is_a_row_of_zeros(tiny_generator: Path) -> None:
    painter = Painter(tiny_generator, "cpu")
    z = latents(3, [5])
    assert torch.equal(painter.latent(z), painter.latent(z, Labels().of(3, [5])))

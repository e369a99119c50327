"""Which picture becomes which file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ohlora_fast.cli.plan import Naming, plan_jobs
from ohlora_fast.errors import InputError

SAME_NAME = Naming(as_file=lambda out: (out,), in_folder=lambda below: (below,))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def links(here: Path) -> None:
    """Symbolic links soft.png → in/a.png and folder → in."""
    try:
        (here / "soft.png").symlink_to(Path("in", "a.png"))
        (here / "folder").symlink_to("in", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def planned(*inputs: str, out: str, **flags: bool) -> list[tuple[str, str]]:
    jobs = plan_jobs(inputs, out, SAME_NAME, **flags)
    return [(job.source.as_posix(), path.as_posix()) for job in jobs for path in job.outputs]


@pytest.mark.usefixtures("here")
def test_one_picture_to_a_file() -> None:
    touch("a.jpg")
    assert planned("a.jpg", out="b.png") == [("a.jpg", "b.png")]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("out", ["made", "made/", "made.d/", "deep/made"])
def test_one_picture_to_a_folder(out: str) -> None:
    touch("in/a.jpg")
    assert planned("in/a.jpg", out=out) == [("in/a.jpg", out.rstrip("/") + "/a.jpg")]


@pytest.mark.usefixtures("here")
def test_a_folder_that_looks_like_a_file() -> None:
    touch("a.jpg", "made.png/old.txt")
    assert planned("a.jpg", out="made.png") == [("a.jpg", "made.png/a.jpg")]


@pytest.mark.usefixtures("here")
def test_several_pictures_in_the_order_given() -> None:
    touch("b.jpg", "a.png")
    assert planned("b.jpg", "a.png", "b.jpg", "./b.jpg", out="o.d") == [("b.jpg", "o.d/b.jpg"), ("a.png", "o.d/a.png")]


@pytest.mark.usefixtures("here")
def test_several_pictures_for_one_file() -> None:
    touch("a.jpg", "b.jpg", "in/c.jpg")
    for inputs in (("a.jpg", "b.jpg"), ("in",)):
        with pytest.raises(InputError, match=r"--out: the file o\.png came for a folder or several pictures"):
            planned(*inputs, out="o.png")


@pytest.mark.usefixtures("here")
def test_a_file_where_the_folder_should_be() -> None:
    touch("a.jpg", "b.jpg", "out")
    with pytest.raises(InputError, match="out came, which is a file; allowed is a folder"):
        planned("a.jpg", "b.jpg", out="out")


@pytest.mark.usefixtures("here")
def test_a_folder() -> None:
    touch("in/b.JPG", "in/a.png", "in/notes.txt", "in/.hidden.png", "in/sub/c.webp", "in/.git/d.png")
    assert planned("in", out="out") == [("in/a.png", "out/a.png"), ("in/b.JPG", "out/b.JPG")]
    assert planned("in", out="out", recursive=True) == [
        ("in/a.png", "out/a.png"),
        ("in/b.JPG", "out/b.JPG"),
        ("in/sub/c.webp", "out/sub/c.webp"),
    ]


@pytest.mark.usefixtures("here")
def test_the_output_folder_is_not_an_input() -> None:
    touch("in/a.png", "in/out/old.png", "in/out/deep/old.png")
    assert planned("in", out="in/out", recursive=True) == [("in/a.png", "in/out/a.png")]


@pytest.mark.usefixtures("here")
def test_a_folder_without_pictures() -> None:
    touch("in/notes.txt", "in/sub/c.webp")
    with pytest.raises(InputError, match=r"no pictures in in; looked for \.jpg"):
        planned("in", out="out")


@pytest.mark.usefixtures("here")
def test_globs() -> None:
    touch("in/a1.png", "in/a2.png", "in/b.png", "in/sub/a3.png")
    assert planned("in/a*.png", out="o") == [("in/a1.png", "o/a1.png"), ("in/a2.png", "o/a2.png")]
    assert len(planned("in/**/*.png", out="o")) == 4
    touch("c1/a.png", "c2/a.png", "c2/deep/a.png")
    assert planned("c?/*.png", out="o") == [("c1/a.png", "o/c1/a.png"), ("c2/a.png", "o/c2/a.png")]
    assert planned("c?", out="o", recursive=True)[1:] == [
        ("c2/a.png", "o/c2/a.png"),
        ("c2/deep/a.png", "o/c2/deep/a.png"),
    ]
    assert planned("../*/c1/*.png", out="o")[0][1].endswith("/c1/a.png")
    with pytest.raises(InputError, match=r"nothing matches in/x\*\.png"):
        planned("in/x*.png", out="o")


@pytest.mark.usefixtures("here")
def test_a_name_that_looks_like_a_glob() -> None:
    touch("a[1].png", "a1.png")
    assert planned("a[1].png", out="o/") == [("a[1].png", "o/a[1].png")]


@pytest.mark.usefixtures("here")
def test_a_missing_file_is_left_to_the_run() -> None:
    assert planned("gone.jpg", out="o/") == [("gone.jpg", "o/gone.jpg")]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("inputs", [("a/x.jpg", "b/x.jpg"), ("a", "b"), ("a/x.jpg", "a/X.jpg")])
def test_two_pictures_for_one_output(inputs: tuple[str, ...]) -> None:
    touch("a/x.jpg", "b/x.jpg")
    match = rf"x\.jpg and .* would both become o{re.escape(os.sep)}.*\.jpg; give each a run and an --out of its own$"
    with pytest.raises(InputError, match=match):
        planned(*inputs, out="o")
    assert len(planned(".", out="o", recursive=True)) == 2


@pytest.mark.usefixtures("here")
def test_pictures_that_would_share_an_output_are_called_by_their_full_names() -> None:
    """b.jpg.png must step aside too: its plain name is the full one of b.jpg."""
    touch("in/a.jpg", "in/b.jpg", "in/b.png", "in/b.jpg.png", "in/C.tif", "in/c.png", "in/sub/a.png", "x/d.jpg")
    naming = Naming(lambda out: (out,), lambda p: (p.with_suffix(".m"),), lambda p: (p.with_name(f"{p.name}.m"),))
    jobs = plan_jobs(["in", "x/d.jpg"], "o", naming, recursive=True)
    assert {job.source.as_posix(): path.as_posix() for job in jobs for path in job.outputs} == {
        "in/a.jpg": "o/a.m",
        "in/b.jpg": "o/b.jpg.m",
        "in/b.png": "o/b.png.m",
        "in/b.jpg.png": "o/b.jpg.png.m",
        "in/C.tif": "o/C.tif.m",
        "in/c.png": "o/c.png.m",
        "in/sub/a.png": "o/sub/a.m",
        "x/d.jpg": "o/d.m",
    }
    touch("x/a.jpg")
    with pytest.raises(InputError, match=r"would both become .*a\.jpg\.m; give each a run"):
        plan_jobs(["in/a.jpg", "x/a.jpg"], "o", naming)


@pytest.mark.usefixtures("here")
def test_outputs_that_exist() -> None:
    touch("in/a.png", "in/b.png", "in/c.png", "o/a.png", "o/c.png")
    match = rf"^{re.escape(str(Path('o/a.png')))} and 1 more exists already; give --overwrite or --skip-existing$"
    with pytest.raises(InputError, match=match):
        planned("in", out="o")
    assert len(planned("in", out="o", overwrite=True)) == 3
    assert planned("in", out="o", skip_existing=True) == [("in/b.png", "o/b.png")]


@pytest.mark.usefixtures("here")
def test_a_pair_that_is_half_there_is_made_again() -> None:
    touch("in/a.png", "o/a.mask")
    naming = Naming(lambda out: (out,), lambda below: (below.with_suffix(".mask"), below.with_suffix(".over")))
    assert len(plan_jobs(["in"], "o", naming, skip_existing=True)) == 1
    touch("o/a.over")
    assert plan_jobs(["in"], "o", naming, skip_existing=True) == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"skip_existing": True}])
def test_inputs_are_never_outputs(flags: dict[str, bool]) -> None:
    touch("in/a.png", "in/b.png")
    os.link("in/a.png", "hard.png")
    for inputs, out in [
        (("in/a.png",), "in/a.png"),
        (("in/a.png",), "in"),
        (("in/a.png",), "in/../in/a.png"),
        (("in/a.png",), "hard.png"),
    ]:
        with pytest.raises(InputError, match="would overwrite the input"):
            planned(*inputs, out=out, **flags)
    swapping = Naming(lambda out: (out,), lambda below: ({"a.png": Path("b.png"), "b.png": Path("a.png")}[below.name],))
    second = re.escape(str(Path("in/b.png")))
    with pytest.raises(InputError, match=f"{second} would overwrite the input {second}"):
        plan_jobs(["in"], "in", swapping, **flags)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"skip_existing": True}])
@pytest.mark.parametrize(
    ("source", "out"), [("in/a.png", "soft.png"), ("soft.png", "in/a.png"), ("in", "folder"), ("folder", "in")]
)
def test_links_do_not_hide_an_input(source: str, out: str, flags: dict[str, bool]) -> None:
    touch("in/a.png", "in/b.png")
    with pytest.raises(InputError, match="would overwrite the input"):
        planned(source, out=out, **flags)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("inputs", "out"), [([""], "o"), (["a.png"], ""), (["a.png", ""], "o")])
def test_empty_names(inputs: list[str], out: str) -> None:
    touch("a.png")
    with pytest.raises(InputError, match="an empty name came"):
        plan_jobs(inputs, out, SAME_NAME)

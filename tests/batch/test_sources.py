"""Which files a set consists of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.sources import Found, entries, find, photo_namings
from ohlora_fast.errors import InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of empty files."""
    names = ("b.jpg", "a.PNG", "notes.md", ".hidden.jpg", "deep/c.webp", "deep/.cache/d.jpg", "out/made.jpg", "s.tar")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def below(*inputs: object, recursive: bool = False, out: str = "out") -> list[str]:
    return [found.below for found in find([str(one) for one in inputs], recursive, out)]


def test_folders(tree: Path) -> None:
    assert below(tree) == ["a.PNG", "b.jpg"]
    assert below(tree, recursive=True) == ["a.PNG", "b.jpg", "deep/c.webp", "out/made.jpg"]
    assert below(tree, recursive=True, out=str(tree / "out")) == ["a.PNG", "b.jpg", "deep/c.webp"]
    assert below(tree, recursive=True, out=str(tree)) == ["a.PNG", "b.jpg", "deep/c.webp", "out/made.jpg"]


def test_files_and_globs(tree: Path) -> None:
    assert below(tree / "notes.md", tree / "gone.jpg", tree / "s.tar") == ["notes.md", "gone.jpg", "s.tar"]
    assert below(tree / "*.jpg", tree / "**" / "c.*") == ["b.jpg", "deep/c.webp"]
    assert below(tree / "d*") == ["deep/c.webp"]
    (tree / "x[1].jpg").touch()
    assert below(tree / "x[1].jpg") == ["x[1].jpg"]
    with pytest.raises(InputError, match=r"nothing matches .*\*\.gif"):
        below(tree / "*.gif")
    with pytest.raises(InputError, match="an empty name"):
        below("")


def test_lists(tree: Path) -> None:
    (tree / "list.txt").write_text(f"b.jpg\r\n\ndeep/c.webp\n{tree}/a.PNG\nmemory://x/y.jpg\n../up.jpg\n")
    found = list(find([str(tree / "list.txt")], False, "out"))
    root = str(tree).lstrip("/")
    assert [one.below for one in found] == ["b.jpg", "deep/c.webp", f"{root}/a.PNG", "x/y.jpg", "up.jpg"]
    assert [one.source for one in found][:2] == [str(tree / "b.jpg"), str(tree / "deep/c.webp")]
    assert found[3].source == "memory://x/y.jpg"


def test_a_list_in_bytes_that_are_no_utf8(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    (found,) = find([str(tree / "list.txt")], False, "out")
    assert os.fsencode(found.source) == os.fsencode(tree) + b"/caf\xe9.jpg"


def test_tables(tree: Path) -> None:
    (tree / "t.csv").write_text('\ufeffpath,color,note,ombre_height\nb.jpg,0.25,x,\n"deep/c.webp",,y,1\n')
    found = list(find([str(tree / "t.csv")], False, "out"))
    assert found[0] == Found(str(tree / "b.jpg"), "b.jpg", (0.25, None, None), listed=True)
    assert found[1].settings == (None, 1.0, None)
    settings = [entry.task.settings for entry in entries(iter(found), Recipe(color=0.9, ombre_grad_height=0.1))]
    assert settings == [(0.25, 0.6, 0.1), (0.9, 1.0, 0.1)]


def test_tables_in_parquet(tree: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": ["b.jpg", "a.PNG"], "color": [0.5, None]}), tree / "t.parquet")
    found = list(find([str(tree / "t.parquet")], False, "out"))
    assert [(one.below, one.settings[0]) for one in found] == [("b.jpg", 0.5), ("a.PNG", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,color\na.jpg,1\n", "got the columns file, color, allowed is one named path"),
        ("path,color\na.jpg,2\n", "row 2: color: got '2', allowed is a number from 0 to 1"),
        ("path,color\na.jpg,red\n", "row 2: color: got 'red', allowed is a number from 0 to 1"),
        ("path,color\na.jpg,nan\n", "row 2: color: got 'nan', allowed is a number from 0 to 1"),
        ("path,color\n,0.5\n", "line 2: the path is empty"),
        ("", "got the columns , allowed is one named path"),
    ],
)
def test_bad_tables(tree: Path, text: str, message: str) -> None:
    (tree / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        below(tree / "t.csv")
    assert str(caught.value).startswith(f"{tree / 't.csv'}")
    assert message in str(caught.value)


def test_urls() -> None:
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    for name in ("set/a.jpg", "set/deep/b.png", "set/x.txt", "set/.h/c.jpg", "set/out/d.jpg"):
        fs.pipe_file(f"/{name}", b"x")
    try:
        assert below("memory://set") == ["a.jpg"]
        assert below("memory://set", recursive=True, out="memory://set/out") == ["a.jpg", "deep/b.png"]
        assert below("memory://set/*.jpg") == ["a.jpg"]
        assert below("memory://set/d*/*.png") == ["deep/b.png"]
        (found,) = find(["memory://set/deep/b.png"], False, "out")
        assert found == Found("memory://set/deep/b.png", "b.png")
        with pytest.raises(InputError, match="nothing matches memory://set/q"):
            below("memory://set/q*")
        (entry,) = entries(find(["memory://set/gone.jpg"], False, "out"), Recipe())
        assert entry.error == "cannot read it: No such file or directory"
    finally:
        fs.rm("/set", recursive=True)


def test_a_url_that_nothing_opens() -> None:
    with pytest.raises(InputError, match=r"steam://x: cannot be opened \(Protocol not known"):
        below("steam://x")


def test_names_of_outputs() -> None:
    every = Recipe(save=("overlay", "dyed", "mask"))
    assert photo_namings("x/scan.001", every)[0] == (
        "x/scan.001_overlay.png", "x/scan.001.png", "x/scan.001_mask.png"
    )  # fmt: skip
    assert photo_namings("a.JPG", Recipe())[0] == ("a.JPG",)
    assert photo_namings("a.JPG", Recipe(suffix=".webp")) == [("a.webp",), ("a.JPG.webp",)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"color": 1.5}, "color: got 1.5, allowed is a number from 0 to 1"),
        ({"color": (0.5, 0.4)}, "color: got the range 0.5 to 0.4, allowed is the lower end first"),
        ({"ombre_height": (0.5, 2)}, "ombre_height: got 2, allowed is a number from 0 to 1"),
        ({"save": ("dyed", "hair")}, "allowed are dyed, mask, overlay, each once"),
        ({"save": ("mask", "mask")}, "allowed are dyed, mask, overlay, each once"),
        ({"save": ()}, "allowed are dyed, mask, overlay, each once"),
        ({"suffix": ".gif"}, "suffix: got '.gif', allowed are .jpg"),
        ({"quality": 0}, "quality: got 0, allowed is a whole number from 1 to 100"),
    ],
)
def test_bad_recipes(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe(**fields)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_draws_are_even_and_apart() -> None:
    recipe = Recipe(color=(0.2, 0.7), ombre_height=(0.5, 1.0), seed=3)
    drawn = [recipe.settings(f"{number}.jpg") for number in range(2000)]
    colors, heights = [one.color for one in drawn], [one.ombre_height for one in drawn]
    assert 0.2 <= min(colors) < 0.21
    assert 0.69 < max(colors) <= 0.7
    assert abs(sum(colors) / 2000 - 0.45) < 0.02
    pairs = sum((color - 0.45) * (height - 0.75) for color, height in zip(colors, heights, strict=True)) / 2000
    assert abs(pairs) < 0.002  # they know nothing of each other
    assert {one.ombre_grad_height for one in drawn} == {0.5}

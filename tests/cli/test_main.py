"""The command as a whole: help, exit codes, one line for every error."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings

import pytest

from ohlora_fast import __version__
from ohlora_fast.cli import SUBCOMMANDS, _run, main
from ohlora_fast.cli.console import complain, show_warning
from ohlora_fast.errors import InputError

COMMAND = [sys.executable, "-m", "ohlora_fast.cli"]
HEAVY = ("torch", "cv2", "onnxruntime", "numpy", "PIL")


def outside(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", check=False)


def one_line(text: str, kind: str = "error") -> str:
    assert text.startswith(f"ohlora-fast: {kind}: ")
    assert text.count("\n") == 1
    return text


def test_version() -> None:
    done = outside("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ohlora-fast {__version__}\n", "")


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert [name for name in listed if name in SUBCOMMANDS] == list(SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: ohlora-fast {name}" in text
    assert "--debug" in text


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from ohlora_fast.cli import main; main(['--help']); main(['dye', '--help']); "
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["bleach"], "invalid choice: 'bleach'"),
        (["dye", "x.jpg"], "required: -o/--out"),
        (["dye", "x.jpg", "-o", "y.jpg", "--color", "grey"], "argument --color: 'grey' has no hue"),
        (["dye", "x.jpg", "-o", "y.jpg", "--color", "1.5"], "argument --color: 1.5 came; allowed is a number from 0"),
        (["dye", "x.jpg", "-o", "y.jpg", "--ombre-height", "2"], "argument --ombre-height: '2' came; allowed is"),
        (["dye", "x.jpg", "-o", "y.jpg", "--ombre-height", "nan"], "'nan' came; allowed is a number from 0 to 1"),
        (["dye", "x.jpg", "-o", "y.jpg", "--ombre-grad-height", "x"], "'x' came; allowed is a number from 0 to 1"),
        (["dye", "x.jpg", "-o", "y.jpg", "--quality", "101"], "'101' came; allowed is a whole number from 1 to 100"),
        (["dye", "x.jpg", "-o", "y.jpg", "--threads", "0"], "'0' came; allowed is a whole number from 1 on"),
        (["distill", "data", "-o", "run", "--minutes", "0"], "--minutes: '0' came; allowed is a number above 0"),
        (["dye", "x.jpg", "-o", "y.jpg", "--max-pixels", "many"], "'many' came; allowed is a whole number"),
        (["dye", "x.jpg", "-o", "y", "--overwrite", "--skip-existing"], "not allowed with argument"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in one_line(captured.err)
    assert captured.out == ""


def test_wrong_usage_from_outside() -> None:
    done = outside("dye")
    assert done.returncode == 2
    assert "see 'ohlora-fast dye --help'" in one_line(done.stderr)


def test_a_missing_file_from_outside(tmp_path: object) -> None:
    done = outside("dye", f"{tmp_path}/gone*.jpg", "-o", f"{tmp_path}/out")
    assert done.returncode == 1
    assert "nothing matches" in one_line(done.stderr)


def ending_with(error: BaseException, debug: bool = False) -> int:
    def run(args: argparse.Namespace) -> int:
        raise error

    return _run(argparse.Namespace(run=run, debug=debug))


def test_an_input_error_is_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending_with(InputError("first\nsecond")) == 1
    assert capsys.readouterr().err == "ohlora-fast: error: first second\n"


def test_an_unexpected_error_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending_with(ZeroDivisionError("by\nzero")) == 1
    assert capsys.readouterr().err == "ohlora-fast: error: ZeroDivisionError: by zero (--debug shows where)\n"


@pytest.mark.parametrize("error", [InputError("words"), ZeroDivisionError("words")])
def test_debug_shows_the_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending_with(error, debug=True) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending_with(KeyboardInterrupt()) == 130
    one_line(capsys.readouterr().err, "interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no error of its own for it")
def test_a_reader_that_has_gone() -> None:
    process = subprocess.Popen([*COMMAND, "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stream:
        assert stream.read() == b""
    assert process.wait() == 1


def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show_warning
        warnings.warn("first\nsecond", stacklevel=1)
    assert capsys.readouterr().err == "ohlora-fast: warning: first second\n"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("h\xe5r*.jpg", b"h\\xe5r*.jpg"),
        pytest.param(
            "h\udce5r*.jpg",  # a Latin-1 name where names are UTF-8
            b"h\\udce5r*.jpg",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="names there are Unicode, not bytes"),
        ),
    ],
)
def test_a_name_the_terminal_cannot_print(name: str, printed: bytes) -> None:
    """The terminal knows ASCII alone."""
    done = subprocess.run(
        [*COMMAND, "dye", name.encode("utf-8", "surrogateescape") if sys.platform != "win32" else name, "-o", "out"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [b"ohlora-fast: error: nothing matches " + printed]


def test_complain_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("note", "a\n b")
    assert capsys.readouterr().err == "ohlora-fast: note: a b\n"

"""`ohlora-fast export`: formats, names and what does not go together."""

import onnx
import pytest

from ohlora_fast import HairStylist
from ohlora_fast.cli import main


def test_without_options_it_writes_the_student_alone_which_a_stylist_takes(
    portrait_pixels, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("hair-map.onnx: efficientnet-lite2-short, head stride 2, ")
    assert "map differs from the library's by at most" in said
    stated = {one.key for one in onnx.load("hair-map.onnx").metadata_props}
    assert {"ohlora_fast.version", "ohlora_fast.licence", "ohlora_fast.readout.weights"} <= stated
    bundled = HairStylist(engine="onnx").segment(portrait_pixels)
    assert abs(HairStylist("hair-map.onnx").segment(portrait_pixels) - bundled).max() < 1e-5


def test_the_suffix_tells_the_format_and_safetensors_stay(tmp_path, capsys):
    out = tmp_path / "student.safetensors"
    assert main(["export", "--half", "-o", str(out)]) == 0
    mask = tmp_path / "mask.onnx"
    assert main(["export", "-o", str(mask), "--with", "mask", "--threshold", "0.7", "--checkpoint", str(out)]) == 0
    assert "mask differs from the library's by at most" in capsys.readouterr().out
    stated = {one.key: one.value for one in onnx.load(mask).metadata_props}
    assert stated["ohlora_fast.threshold"] == "0.7"
    assert stated["ohlora_fast.weights"] == "student.safetensors"
    assert "that of the data the weights were trained on" in stated["ohlora_fast.licence"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "a.tflite"], "--out a.tflite: got the suffix '.tflite', allowed is .onnx, .pt2, .xml, .safetensors"),
        (["-o", "a.onnx", "--format", "openvino"], "--out a.onnx: got the suffix '.onnx', allowed is .xml"),
        (["--format", "torch-export", "--with", "map"], "--with: got map for torch-export, allowed is prob, alpha"),
        (["--format", "safetensors", "--with", "dye"], "--with: got dye for safetensors, allowed is map"),
        (["--with", "prob", "--int8", "photos"], "--int8: got onnx with prob, allowed is onnx with map"),
        (["--threshold", "0.5"], "--threshold: got map, allowed is --with mask"),
        (["--half"], "--half: got onnx, allowed is safetensors"),
        (["--layout", "nchw"], "--layout, --dtype: got map, allowed is --with prob"),
        (["-o", "missing/a.onnx"], "cannot write missing/a.onnx: No such file or directory"),
        (["--checkpoint", "none.safetensors"], "checkpoint none.safetensors: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(options, message, capsys):
    assert main(["export", *options]) == 1
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said

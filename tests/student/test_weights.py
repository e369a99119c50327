"""Checkpoints in and out: only safe formats, and wrong files say what is wrong with them."""

import pickle
from pathlib import Path

import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.student import bundled
from ohlora_fast.student.model import ENCODERS, EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet
from ohlora_fast.student.weights import average_students, load_student, read_state, save_student, start_encoder


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("stride", "upsampling"), [(1, "nearest"), (2, "nearest"), (2, "bilinear")])
def test_safetensors_come_back_as_they_went(tmp_path, encoder, stride, upsampling):
    model = EffiSegNet(encoder, stride, head_channels=32, upsampling=upsampling).eval()
    save_student(model, tmp_path / "student.safetensors")
    loaded = load_student(tmp_path / "student.safetensors")
    assert (loaded.encoder_name, loaded.head_stride, loaded.head_channels) == (encoder, stride, 32)
    assert loaded.upsampling == upsampling
    assert not loaded.training
    wanted, found = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["student.safetensors"]


def test_a_student_stored_in_half_is_not_rounded_again_when_it_runs_in_half(tmp_path, fill):
    save_student(fill(EffiSegNet()), tmp_path / "half.safetensors", half=True)
    form = InferenceEffiSegNet(load_student(tmp_path / "half.safetensors"), fold=True)
    stored, _ = read_state(tmp_path / "half.safetensors")
    for name, module in form.encoder.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            kernel = stored[f"encoder.{name}.weight"].float()
            powers = torch.exp2(torch.log2((module.weight / kernel).flatten(1).nanmedian(1).values).round())
            exact = kernel * powers[:, None, None, None]
            normal = exact.abs() >= torch.finfo(torch.float16).smallest_normal
            assert torch.equal(module.weight.half()[normal], exact.half()[normal]), name
            assert torch.allclose(module.weight, exact, rtol=1e-6, atol=0), name


def test_half_is_half_the_size_and_loads_as_float32(tmp_path):
    model = EffiSegNet()
    save_student(model, tmp_path / "full.safetensors")
    save_student(model, tmp_path / "half.safetensors", half=True)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.52 * full
    assert load_student(tmp_path / "half.safetensors").conv6.weight.dtype == torch.float32


def test_a_plain_state_dict_of_the_reference_student_loads(tmp_path):
    model = EffiSegNet("efficientnet-b0", head_stride=1)
    torch.save(model.state_dict(), tmp_path / "segmentation_model.pth")
    loaded = load_student(tmp_path / "segmentation_model.pth")
    assert (loaded.encoder_name, loaded.head_stride) == ("efficientnet-b0", 1)
    assert torch.equal(loaded.conv6.weight, model.conv6.weight)


def test_missing_unexpected_and_misshaped_names_are_told(tmp_path):
    state = EffiSegNet("efficientnet-b0", head_stride=1).state_dict()
    del state["bn6.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["bn1.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(InputError) as caught:
        load_student(tmp_path / "wrong.pth")
    told = "1 missing (bn6.weight); 1 unexpected (extra.weight); 1 misshaped (bn1.bias is (3,), not (64,))"
    assert str(caught.value).endswith(f"wrong.pth: {told}")


class Harmful:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps({"conv6.weight": Harmful(tmp_path / "harm")}))
    torch.save({"conv6.weight": Harmful(tmp_path / "harm")}, tmp_path / "bad2.pth")
    for name in ("bad.pth", "bad2.pth"):
        with pytest.raises(InputError, match=rf"{name}: not loadable as a weights-only pickle"):
            load_student(tmp_path / name)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"", "not a readable safetensors file"),
        ("a.safetensors", b"not safetensors at all", "not a readable safetensors file"),
        ("a.pth", b"", "not loadable"),
        ("a.pth", b"PK\x03\x04 cut off", "not loadable"),
        ("a.pth", b"\x80\x02.", "not loadable"),
        ("a.pth", b"plain text", "not loadable"),
        ("a.txt", b"", "suffix must be one of"),
    ],
)
def test_unreadable_files_are_named_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_student(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_state_dict_or_not_there(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="expected a state dict"):
        load_student(tmp_path / "list.pth")
    for wrong, message in (
        ({3: torch.zeros(1)}, "3 holds Tensor"),
        ({"state_dict": {}}, "'state_dict' holds dict"),
        ({"conv6.weight": torch.zeros(1, 63, 1, 1)}, r"wrong.pth: head_channels: got 63"),
    ):
        torch.save(wrong, tmp_path / "wrong.pth")
        with pytest.raises(InputError, match=message):
            load_student(tmp_path / "wrong.pth")
    with pytest.raises(InputError, match="no such file"):
        load_student(tmp_path / "nowhere.pth")


def test_bundled_files_are_small_and_the_default_variant():
    sizes = {"default.safetensors": 10e6, "default.onnx": 20e6, "default-int8.onnx": 5e6}
    assert all(bundled(name).stat().st_size <= size for name, size in sizes.items())
    model = load_student()
    assert (model.encoder_name, model.head_stride, model.head_channels) == ("efficientnet-lite2-short", 2, 64)


@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "efficientnet-lite2"])
def test_lite_encoders_start_from_imagenet_weights(encoder):
    model = EffiSegNet(encoder)
    before = model.encoder._conv_stem.weight.clone()
    start_encoder(model)
    assert not torch.equal(before, model.encoder._conv_stem.weight)


def test_a_shortened_encoder_is_the_whole_one_without_the_blocks_it_lacks():
    short, whole = EffiSegNet("efficientnet-lite2-short").eval(), EffiSegNet("efficientnet-lite2").eval()
    start_encoder(short)
    start_encoder(whole)
    for index in (16, 17, 18):  # nothing but their skips is left of them
        assert whole.encoder._blocks[index].skip
        whole.encoder._blocks[index]._bn2.weight.data.zero_()
        whole.encoder._blocks[index]._bn2.bias.data.zero_()
    photo = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        assert all(map(torch.allclose, short.encoder(photo), whole.encoder(photo)))


def test_imagenet_start_is_for_lite_encoders_alone():
    with pytest.raises(InputError, match="Lite encoders alone"):
        start_encoder(EffiSegNet("efficientnet-b0"))


def test_another_upsampling_can_be_asked_for(tmp_path):
    save_student(EffiSegNet(head_channels=8), tmp_path / "nearest.safetensors")
    assert load_student(tmp_path / "nearest.safetensors", upsampling="bilinear").upsampling == "bilinear"


def test_an_upsampling_that_does_not_exist_is_told(tmp_path):
    model = EffiSegNet(head_channels=8)
    model.upsampling = "cubic"
    save_student(model, tmp_path / "cubic.safetensors")
    with pytest.raises(InputError, match=r"cubic.safetensors: upsampling: got 'cubic', allowed are nearest, bilinear"):
        load_student(tmp_path / "cubic.safetensors")


def test_students_are_averaged(tmp_path):
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_student(EffiSegNet(head_channels=8), tmp_path / f"{seed}.safetensors")
    paths = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    one, other, mean = (student.state_dict() for student in (*map(load_student, paths), average_students(paths)))
    for name, value in mean.items():
        expected = (one[name] + other[name]) / 2 if value.is_floating_point() else one[name]
        assert torch.allclose(value, expected, atol=1e-7), name
    assert all(torch.equal(value, one[name]) for name, value in average_students(paths[:1]).state_dict().items())


def test_students_of_different_variants_are_not_averaged(tmp_path):
    save_student(EffiSegNet(head_channels=8), tmp_path / "a.safetensors")
    save_student(EffiSegNet(head_channels=6), tmp_path / "b.safetensors")
    save_student(EffiSegNet(head_stride=1, head_channels=8), tmp_path / "c.safetensors")
    save_student(EffiSegNet(head_channels=8, upsampling="bilinear"), tmp_path / "d.safetensors")
    a, b, c, d = (tmp_path / f"{name}.safetensors" for name in "abcd")
    with pytest.raises(InputError, match=r"b.safetensors, beside .*a.safetensors: .*misshaped"):
        average_students([a, b])
    for other in (c, d):
        with pytest.raises(InputError, match=rf"{other.name}: has another head stride, size or upsampling than"):
            average_students([a, other])
    with pytest.raises(InputError, match="checkpoints: got none"):
        average_students([])

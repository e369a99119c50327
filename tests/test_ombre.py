"""apply_ombre, Ombre and has_hair as users meet them."""

import platform
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from ohlora_fast import InputError, Ombre, apply_ombre
from ohlora_fast.ombre import available_backends, check_threads, has_hair

GOLDEN = Path(__file__).parent / "golden" / "ombre.npz"
RUNNING = [name for name, reason in available_backends().items() if reason is None]


def photo(count=None, channels=3, size=(20, 16), seed=0):
    shape = (*(() if count is None else (count,)), *size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def hair(count=None, size=(9, 8), seed=1):
    shape = (*(() if count is None else (count,)), *size)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def reference_and_golden(n):
    golden = np.load(GOLDEN)
    prob, image, expected = (golden[f"{name}_{n:02d}"] for name in ("prob", "image", "ombre"))
    return apply_ombre(image, prob, *golden[f"params_{n:02d}"], backend="numpy"), expected


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="OpenCV rounds in another way elsewhere")
@pytest.mark.parametrize("n", range(16))
def test_reference_equals_the_golden_file_exactly(n):
    np.testing.assert_array_equal(*reference_and_golden(n))


def test_reference_is_within_one_of_the_golden_file_everywhere():
    pairs = [reference_and_golden(n) for n in range(16)]
    off = np.concatenate([np.abs(got.astype(int) - expected).ravel() for got, expected in pairs])
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.002 * off.size


@pytest.mark.parametrize("backend", RUNNING)
def test_color_one_is_color_zero(backend):
    image, prob = photo(), hair()
    zero, one = (apply_ombre(image, prob, color, backend=backend) for color in (0.0, 1.0))
    np.testing.assert_array_equal(zero, one)
    assert not np.array_equal(zero, apply_ombre(image, prob, 0.5, backend=backend))


@pytest.mark.parametrize("backend", ["auto", *RUNNING])
def test_batch_equals_its_samples(backend):
    image, prob = photo(3, 4), hair(3)
    settings = [0.1, 0.5, 0.9], (1, 0.5, 0), np.array([0.0, 0.3, 1.0])
    together = apply_ombre(image, prob, *settings, backend=backend)
    for n in range(3):
        alone = apply_ombre(image[n], prob[n], *(one[n] for one in settings), backend=backend)
        np.testing.assert_array_equal(together[n], alone)
    np.testing.assert_array_equal(apply_ombre(image, prob[:, None], *settings, backend=backend), together)


@pytest.mark.parametrize("backend", RUNNING)
def test_one_map_serves_a_batch(backend):
    image, prob = photo(3), hair()
    together = apply_ombre(image, prob, backend=backend)
    np.testing.assert_array_equal(apply_ombre(image, np.stack([prob] * 3), backend=backend), together)
    np.testing.assert_array_equal(apply_ombre(image, prob[None, None], backend=backend), together)


@pytest.mark.parametrize("backend", RUNNING)
def test_any_strides(backend):
    big = photo(4, 4, (40, 48))
    prob = hair(2, (18, 16))
    views = {
        "every second row and column": big[::2, ::2, ::3],
        "upside down": big[::2, ::-1],
        "mirrored": big[::2, :, ::-1],
        "transposed": big[::2].transpose(0, 2, 1, 3),
        "BGR": big[::2, :, :, 2::-1],
        "cut out": big[::2, 5:30, 7:33, :3],
    }
    for name, view in views.items():
        before = view.copy()
        got = apply_ombre(view, prob[:, ::2, ::-1], backend=backend)
        want = apply_ombre(before, np.ascontiguousarray(prob[:, ::2, ::-1]), backend=backend)
        np.testing.assert_array_equal(got, want, err_msg=name)
        np.testing.assert_array_equal(view, before, err_msg=name)


@pytest.mark.parametrize("backend", RUNNING)
def test_no_hair_leaves_the_photo_and_all_hair_does_not(backend):
    image = photo()
    np.testing.assert_array_equal(apply_ombre(image, np.zeros((8, 8)), backend=backend), image)
    dyed = apply_ombre(image, np.ones((8, 8)), ombre_height=1, ombre_grad_height=0, backend=backend)
    assert not np.array_equal(dyed, image)
    np.testing.assert_array_equal(
        apply_ombre(image, np.ones((8, 8)), ombre_height=0.25, backend=backend)[:14], image[:14]
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_maps_of_other_precisions(dtype):
    image, prob = photo(), hair().astype(np.float16)
    np.testing.assert_array_equal(apply_ombre(image, prob.astype(dtype)), apply_ombre(image, prob.astype(np.float32)))


@pytest.mark.parametrize("backend", ["auto", *RUNNING])
@pytest.mark.parametrize("dtype", [">f2", ">f4", "<f4", ">f8"])
def test_maps_in_any_byte_order(backend, dtype):
    image, prob = photo(), hair().astype(np.float16)
    want = apply_ombre(image, prob.astype(np.float32), backend=backend)
    np.testing.assert_array_equal(apply_ombre(image, prob.astype(dtype), backend=backend), want)
    with pytest.raises(InputError, match=r"^prob: got values from 1"):
        apply_ombre(image, (prob + 1).astype(dtype), backend=backend)


@pytest.mark.parametrize("backend", RUNNING)
def test_read_only_arrays_are_taken_without_a_warning(backend):
    torch = pytest.importorskip("torch")
    planes, prob = photo().transpose(2, 0, 1).copy(), hair()
    want = apply_ombre(planes.transpose(1, 2, 0), prob, backend=backend)
    planes.flags.writeable = prob.flags.writeable = False
    warn_always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else torch tells only once a process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            got = apply_ombre(planes.transpose(1, 2, 0), prob, backend=backend)
    finally:
        torch.set_warn_always(warn_always)
    np.testing.assert_array_equal(got, want)


def test_settings_as_tensors_of_any_precision():
    torch = pytest.importorskip("torch")
    image, prob = photo(2), hair(2)
    want = apply_ombre(image, prob, [0.25, 0.5], 0.75)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        got = apply_ombre(image, prob, torch.tensor([0.25, 0.5], dtype=dtype), torch.tensor(0.75, dtype=dtype))
        np.testing.assert_array_equal(got, want)


def test_ombre_applies_itself_and_is_frozen():
    image, prob = photo(), hair()
    settings = Ombre(color=0.2, ombre_height=1, ombre_grad_height=0)
    np.testing.assert_array_equal(settings.apply(image, prob), apply_ombre(image, prob, 0.2, 1, 0))
    assert Ombre() == Ombre(0.5, 0.6, 0.5)
    with pytest.raises(AttributeError):
        settings.color = 0.3
    with pytest.raises(InputError, match=r"^color: got 1.5, allowed is a number from 0 to 1$"):
        Ombre(color=1.5)


@pytest.mark.parametrize("channels", [3, 4])
def test_tensors(channels):
    torch = pytest.importorskip("torch")
    image, prob = photo(2, channels), hair(2)
    planes = torch.from_numpy(image).permute(0, 3, 1, 2)
    want = apply_ombre(image, prob, backend="torch")
    got = apply_ombre(planes, torch.from_numpy(prob))
    assert got.dtype == torch.uint8
    np.testing.assert_array_equal(got.permute(0, 2, 3, 1).numpy(), want)
    one = apply_ombre(planes[0], torch.from_numpy(prob[0]).double())
    assert torch.equal(one, got[0])
    through_cpp = apply_ombre(planes, torch.from_numpy(prob), backend="cpp")
    np.testing.assert_array_equal(through_cpp.permute(0, 2, 3, 1).numpy(), apply_ombre(image, prob, backend="cpp"))
    floating = apply_ombre(planes.float(), torch.from_numpy(prob))
    assert floating.dtype == torch.float32
    np.testing.assert_allclose(floating.numpy(), got.numpy(), atol=2)


def test_float_tensors_carry_gradients():
    torch = pytest.importorskip("torch")
    image = torch.full((3, 12, 10), 90.0, requires_grad=True)
    prob = torch.full((6, 5), 0.95, requires_grad=True)
    apply_ombre(image, prob).sum().backward()
    assert float(image.grad.abs().sum()) > 0
    assert float(prob.grad.abs().sum()) > 0


def test_has_hair():
    torch = pytest.importorskip("torch")
    maps = np.zeros((3, 20, 20))
    maps[1, 4:9] = 1
    maps[2] = 0.93
    assert has_hair(maps, (100, 60)).tolist() == [False, True, False]
    assert has_hair(maps[1], (100, 60)).tolist() == [True]
    assert has_hair(torch.from_numpy(maps)[:, None], (100, 60)).tolist() == [False, True, False]
    assert has_hair(maps, [np.int64(100), 60], threads=1).tolist() == [False, True, False]


@pytest.mark.parametrize("size", [(2**20, 2**20), (2**20, 2**12), (2**15, 2**20)])
def test_has_hair_of_huge_sizes_says_what_it_says_of_large_ones(size):
    """Of maps that must be looked at everywhere: no value is hair, and all are nearly."""
    rng = np.random.default_rng(0)
    maps = np.stack([np.full((24, 24), 0.9), 0.6 * rng.random((24, 24)), np.full((24, 24), 0.9)]).astype(np.float32)
    maps[2, 22, 20:23] = 0.99
    assert has_hair(maps, size).tolist() == has_hair(maps, (2**12, 2**12)).tolist() == [False, False, True]


def test_has_hair_looks_at_each_row_of_a_map_that_is_itself_large():
    thin = np.zeros((2**15, 8), np.float32)
    thin[2**14 + 1] = 1
    assert has_hair(thin, (2**15, 2**14)).tolist() == [True]
    assert has_hair(thin, (2**15, 8)).tolist() == [True]


@pytest.mark.parametrize(
    "size",
    [(0, 9), (9, 2**20 + 1), (10**5000, 9), (9.0, 9), (True, 9), ("9", 9), (9,), (9, 9, 3), 9, None, "99"],
    ids=lambda size: type(size).__name__,
)
def test_has_hair_names_a_wrong_size(size):
    with pytest.raises(InputError, match=r"^size: got .*, allowed is \(height, width\), whole numbers from 1 to"):
        has_hair(hair(), size)


@pytest.mark.parametrize("threads", [0, -1, -(10**5000), 2.0, True, "2", [2], np.zeros((9, 9))], ids=type)
def test_wrong_threads_are_named_in_one_way(threads):
    message = r"^threads: got .*, allowed is a whole number from 1, or None$"
    for call in (
        lambda: check_threads(threads),
        lambda: has_hair(hair(), (9, 9), threads),
        lambda: apply_ombre(photo(), hair(), threads=threads),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("threads", [None, 1, np.int32(2), 10**5000], ids=type)
def test_right_threads(threads):
    check_threads(threads)
    assert has_hair(np.ones((9, 9)), (9, 9), threads).tolist() == [True]


def tensor(array, device="cpu"):
    return pytest.importorskip("torch").from_numpy(array).to(device)


WRONG = {
    "list as image": (lambda: ([[0]], hair()), {}, r"^image: got a list, allowed is"),
    "float image": (lambda: (photo().astype(float), hair()), {}, r"^image: got dtype float64, allowed is uint8"),
    "grey image": (lambda: (photo(channels=1), hair()), {}, r"^image: got shape \(20, 16, 1\), allowed is"),
    "flat image": (lambda: (photo()[0], hair()), {}, r"^image: got shape \(16, 3\), allowed is"),
    "empty image": (lambda: (photo(size=(0, 4)), hair()), {}, r"^image: got shape \(0, 4, 3\), allowed is"),
    "bytes as map": (lambda: (photo(), photo()[..., 0]), {}, r"^prob: got dtype uint8, allowed are float16"),
    "map with NaN": (lambda: (photo(), hair() * np.nan), {}, r"^prob: got NaN, allowed are values from 0 to 1$"),
    "map above 1": (lambda: (photo(), hair() + 1), {}, r"^prob: got values from 1.* allowed are 0 to 1$"),
    "map below 0": (lambda: (photo(), hair() - 1), {}, r"^prob: got values from -"),
    "infinite map": (lambda: (photo(), hair() + np.inf), {}, r"^prob: got values from inf to inf"),
    "empty map": (lambda: (photo(), hair(size=(0, 3))), {}, r"^prob: got shape \(0, 3\), allowed are"),
    "two maps": (lambda: (photo(), hair(2)), {}, r"^prob: got shape \(2, 9, 8\), .*number of images, 1$"),
    "maps of two channels": (lambda: (photo(2), hair(2)[:, None].repeat(2, 1)), {}, r"^prob: got shape \(2, 2, 9"),
    "map of another kind": (lambda: (photo(), tensor(hair())), {}, r"^prob: got a torch tensor for an image that"),
    "map elsewhere": (
        lambda: (tensor(photo().T), tensor(hair(), "meta")),
        {},
        r"^prob: got a tensor on meta for an image on cpu, allowed is one device$",
    ),
    "image elsewhere": (lambda: (tensor(photo().T, "meta"), tensor(hair())), {}, r"^prob: got .* an image on meta,"),
    "complex map": (lambda: (photo(), hair().astype(complex)), {}, r"^prob: got dtype complex128, allowed are"),
    "channels last tensor": (lambda: (tensor(photo()), tensor(hair())), {}, r"^image: got shape \(20, 16, 3\)"),
    "half tensor": (lambda: (tensor(photo().T.astype("f2")), tensor(hair())), {}, r"^image: got dtype torch.float16"),
    "dark tensor": (lambda: (tensor(-photo().T.astype("f4")), tensor(hair())), {}, r"^image: got values from -255"),
    "wrong tensor map": (lambda: (tensor(photo().T), tensor(hair() + 1)), {}, r"^prob: got values from 1"),
    "unknown backend": (lambda: (photo(), hair()), {"backend": "gpu"}, r"^backend: got 'gpu', allowed are 'auto'"),
    "no threads": (lambda: (photo(), hair()), {"threads": 0}, r"^threads: got 0, allowed is a whole number from 1"),
    "true threads": (lambda: (photo(), hair()), {"threads": True}, r"^threads: got True"),
    "color too large": (lambda: (photo(), hair()), {"color": 1.2}, r"^color: got 1.2, allowed is a number from 0"),
    "height NaN": (lambda: (photo(), hair()), {"ombre_height": np.nan}, r"^ombre_height: got nan, allowed"),
    "color is a word": (lambda: (photo(), hair()), {"color": "red"}, r"^color: got 'red', allowed is a number"),
    "color is true": (lambda: (photo(), hair()), {"color": True}, r"^color: got True, allowed is a number"),
    "color is None": (lambda: (photo(), hair()), {"color": None}, r"^color: got None, allowed is a number"),
    "color is complex": (lambda: (photo(), hair()), {"color": 0.5j}, r"^color: got 0.5j, allowed is a number"),
    "complex of NumPy": (lambda: (photo(), hair()), {"color": np.array([0.5], "c8")}, r"^color\[0\]: got .*allowed is"),
    "color is huge": (lambda: (photo(), hair()), {"color": 10**400}, r"^color: got a number too large for a float, "),
    "color is a table": (
        lambda: (photo(2), hair(2)),
        {"color": np.zeros((2, 1))},
        r"^color: got shape \(2, 1\), allowed is one number or one an image, \(2,\)$",
    ),
    "deep table": (lambda: (photo(), hair()), {"color": np.zeros((1, 1, 2))}, r"^color: got shape \(1, 1, 2\),"),
    "list of tables": (
        lambda: (photo(), hair()),
        {"color": [np.zeros((9, 9))]},
        r"^color\[0\]: got a NumPy array, allowed is a number from 0 to 1$",
    ),
    "one bad of two": (
        lambda: (photo(2), hair(2)),
        {"ombre_grad_height": [0.5, -1]},
        r"^ombre_grad_height\[1\]: got -1, allowed is a number from 0 to 1$",
    ),
    "too many": (
        lambda: (photo(2), hair(2)),
        {"color": np.zeros(3)},
        r"^color: got 3 values for 2 images, allowed is one number or one an image$",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name):
    arguments, options, message = WRONG[name]
    with pytest.raises(InputError, match=message) as raised:
        apply_ombre(*arguments(), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("backend", [name for name in available_backends() if name not in RUNNING])
def test_a_backend_that_cannot_run_says_why(backend):
    with pytest.raises(InputError, match=rf"^backend: got '{backend}', but .*; allowed here are 'auto', 'numpy'"):
        apply_ombre(photo(), hair(), backend=backend)


def test_cpp_takes_only_plain_tensors():
    torch = pytest.importorskip("torch")
    planes, prob = torch.from_numpy(photo()).permute(2, 0, 1), torch.from_numpy(hair())
    with pytest.raises(InputError, match=r"^backend: got 'cpp' for torch.float32 on cpu, allowed are uint8"):
        apply_ombre(planes.float(), prob, backend="cpp")
    with pytest.raises(InputError, match=r"^backend: got 'cpp' for .*prob with gradients, allowed"):
        apply_ombre(planes, prob.requires_grad_(), backend="cpp")
    with pytest.raises(InputError, match=r"^backend: got 'numpy' for a tensor, allowed are"):
        apply_ombre(planes, prob.detach(), backend="numpy")


def test_import_is_lazy():
    code = (
        "import sys, ohlora_fast\n"
        "assert set(ohlora_fast.__all__) <= set(dir(ohlora_fast))\n"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'PIL', 'ohlora_fast.ombre'} & set(sys.modules)\n"
        "ohlora_fast.InputError\n"
        "from ohlora_fast import apply_ombre\n"
        "print(sorted(heavy), sorted({'torch', 'onnxruntime'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] []"


def test_unknown_names_are_attribute_errors():
    import ohlora_fast

    with pytest.raises(AttributeError, match="no attribute 'wig'"):
        _ = ohlora_fast.wig


THREADS = """
import threading
from ohlora_fast.ops.ombre_op import backend_problem

failed = []

def load(number):
    try:
        if number % 2:
            import cv2
        else:
            assert backend_problem.__wrapped__("numpy") is None
    except Exception as error:
        failed.append(repr(error))

threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(failed)
"""


def test_threads_may_load_opencv_at_once():
    """While it loads, it is in ``sys.modules`` without a spec, and looking it up fails."""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", THREADS], check=True, capture_output=True, text=True)
        assert done.stdout == "[]\n"

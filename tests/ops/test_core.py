"""The extension itself: what it was built with, threads, fork."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ohlora_fast import _core, apply_ombre


def case(seed=0, count=2):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, 300, 280, 3), dtype=np.uint8)
    return image, rng.random((count, 30, 30), dtype=np.float32)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_build_info():
    info = _core.build_info()
    assert info["simd"] in info["simd_compiled"]
    assert info["simd_compiled"][0] == "baseline"
    assert info["cxx_standard"] >= 201703
    assert info["threads"] >= 1
    assert info["compiler"]


def test_environment_caps_the_vector_level():
    code = "from ohlora_fast._core import build_info; print(build_info()['simd'])"
    assert run(code, OHLORA_SIMD="baseline").stdout.strip() == "baseline"
    broken = run(code, OHLORA_SIMD="mmx")
    assert broken.returncode != 0
    assert "OHLORA_SIMD: got 'mmx', allowed are baseline, avx2 and avx512" in broken.stderr


def test_result_does_not_depend_on_the_number_of_threads():
    image, prob = case()
    one = apply_ombre(image, prob, backend="cpp", threads=1)
    for threads in (2, 3, 16, 100):
        np.testing.assert_array_equal(apply_ombre(image, prob, backend="cpp", threads=threads), one)


def test_many_python_threads_at_once():
    jobs = [case(seed) for seed in range(8)]
    expected = [apply_ombre(*job, backend="cpp", threads=1) for job in jobs]
    wrong = []

    def work(n):
        for _ in range(15):
            if not np.array_equal(apply_ombre(*jobs[n], backend="cpp", threads=3), expected[n]):
                wrong.append(n)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(len(jobs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own():
    code = """
import os, numpy as np
from ohlora_fast import apply_ombre
rng = np.random.default_rng(0)
image = rng.integers(0, 256, (300, 280, 3), dtype=np.uint8)
prob = rng.random((30, 30), dtype=np.float32)
before = apply_ombre(image, prob, backend="cpp", threads=3)
child = os.fork()
same = np.array_equal(apply_ombre(image, prob, backend="cpp", threads=3), before)
tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 3
if child == 0:
    os._exit(0 if same and tasks >= 3 else 1)
print(same, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run(code)
    assert result.stdout.strip() == "True 0", result.stderr

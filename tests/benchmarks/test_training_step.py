"""The benchmark of training steps runs."""

from ohlora_fast.benchmarks.training_step import WAYS, times


def test_every_way_is_timed() -> None:
    found = times(batch=1, rounds=1)
    assert list(found) == list(WAYS)
    assert min(found.values()) > 0

"""Benchmarks: one file a question, `bench_*.py` for pytest-benchmark; `ohlora-fast benchmark` runs them all.

Every provider of an answer runs in a process of its own, since idle thread pools of one engine slow another by half;
the processes take turns, so that a drift of the machine's speed meets all of them.
"""

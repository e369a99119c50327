"""How much a server writes to its log."""

from ohlora_fast.web.log import MOST, PERIOD, BoundedLog


def test_the_log_is_bounded():
    written, now = [], [0.0]

    class Stream:
        write = staticmethod(written.append)

    log = BoundedLog(Stream(), clock=lambda: now[0])
    for _ in range(1000):
        log.write("x" * (MOST // 100))
    assert len("".join(written)) <= MOST + 200
    assert "the log is full" in written[-1]
    now[0] = PERIOD
    log.write("again\n")
    assert written[-1] == "again\n"

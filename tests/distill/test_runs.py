"""What every training run has."""

import io
from contextlib import contextmanager

import pytest
import torch

from ohlora_fast.distill.runs import WholeCheckpoints


def test_ctrl_c_while_a_checkpoint_is_written_is_no_other_error(tmp_path, monkeypatch):
    class Interrupted(io.RawIOBase):
        writes = 0

        def write(self, content):
            self.writes += 1
            if self.writes == 3:  # amid the archive, which PyTorch then tries to end
                raise KeyboardInterrupt
            return len(content)

    @contextmanager
    def opened(path):
        yield Interrupted()

    monkeypatch.setattr("ohlora_fast.distill.runs.written_whole", opened)
    with pytest.raises(KeyboardInterrupt):
        WholeCheckpoints().save_checkpoint({"weights": torch.zeros(10_000)}, tmp_path / "checkpoint.ckpt")

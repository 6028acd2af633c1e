"""Log records on a GPU: losses lie there, vital signs and scores on the CPU."""

from __future__ import annotations

import pytest
import torch

from gansmith.game import Clock
from gansmith.training import hooks
from gansmith.training.state import State
from helpers import gpu
from helpers.phantom import phantom_cuda


@pytest.mark.skipif(gpu.REAL, reason="a real GPU is here, which keeps its own rules")
def test_a_record_holds_scalars_of_every_device_and_asks_each_device_once():
    records = []
    log = hooks.Log(records.append, lambda state: False)
    with phantom_cuda() as watch:
        for loss, diversity in ((1.0, 0.25), (2.0, 0.75)):
            logs = {"loss": torch.full((), loss, device="cuda"), "diversity": torch.tensor(diversity)}
            log(None, State(0, Clock(8, 1, 0.5)), logs | {"fake": torch.full((), -loss, device="cuda")})  # type: ignore[arg-type]
        watch.clear()
        log.flush(State(0, Clock(8, 1, 0.5)))
        assert [kind for kind, _ in watch.waits] == ["download"]
    assert list(records[0])[-3:] == ["loss", "diversity", "fake"]
    assert (records[0]["loss"], records[0]["diversity"], records[0]["fake"]) == (1.5, 0.5, -1.5)

"""Log records on a GPU: losses lie there, vital signs and scores on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from conftest import pictures
from gansmith import registry
from gansmith.game import Clock
from gansmith.training import hooks
from gansmith.training.engine import State
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from phantom import phantom_cuda


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


def test_a_noise_to_picture_run_gets_past_its_first_record(tmp_path: Path):
    npz = tmp_path / "pictures.npz"
    np.savez(npz, x=pictures(160), y=np.arange(160) % 3)
    kind = registry.family("gan")
    settings, config = settings_from(
        kind, tmp_path / "run", data=(str(npz),), steps=2, batch=8, size=32, device="cuda", eval_every=8, **kind.tiny
    )
    with phantom_cuda():
        finished = train(kind, settings=settings, family_config=config, quiet=True)
    records = list(finished.run.records())
    assert records[-1]["step"] == 2
    assert any("diversity" in record for record in records)
    assert any(name.startswith("score/") for record in records for name in record)

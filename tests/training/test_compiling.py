"""--compile auto: what is measured to be faster is kept, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gansmith
from gansmith.files.run import Run
from gansmith.training import compiling

TINY = {"data": "mnist10k", "steps": 6, "batch": 8, "width": 8, "snapshots": 1, "quiet": True}


def chosen(game, times: dict[tuple[str, ...], float | str]) -> tuple[list[str], list[str]]:
    """What is chosen where steps take these times, and what is said; a text is an error."""
    said: list[str] = []

    def seconds(copied, names):
        assert copied is not game
        found = times[tuple(names)]
        if isinstance(found, str):
            raise RuntimeError(found)
        return found

    return compiling.choose(game, None, None, said.append, seconds), said  # type: ignore[arg-type]


def test_the_fastest_that_works_is_chosen():
    game = gansmith.build("wgan-gp", size=16, channels=1, width=4)
    both, exported = ("generator", "discriminator"), ("generator",)
    assert chosen(game, {(): 1.0, both: 0.5}) == (
        list(both),
        ["torch.compile makes a step 2.00 times as fast: generator, discriminator compiled."],
    )
    assert chosen(game, {(): 1.0, both: "no double backward", exported: 0.9})[0] == list(exported)
    names, said = chosen(game, {(): 1.0, both: "no double backward", exported: 0.96})
    assert names == []
    assert "960 ms per step compiled, 1000 ms as it is" in said[0]
    names, said = chosen(game, {(): 1.0, both: "x", exported: "no C++ compiler\nlong story"})
    assert names == []
    assert said == ["torch.compile does not help here (no C++ compiler): training goes on without it."]


@pytest.fixture
def compiles_plainly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Compilation without a C++ compiler: the graph is captured and differentiated ahead of time, and run as it is."""
    compiled: list[str] = []

    def compile_networks(game, names):
        for name in names:
            compiled.append(name)
            game.get_submodule(name).compile(dynamic=False, backend="aot_eager")

    monkeypatch.setattr(compiling, "compile_networks", compile_networks)
    yield compiled
    torch.compiler.reset()


def test_compiled_training_is_the_same_training(
    compiles_plainly: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compiling, "choose", lambda *_: ["generator", "discriminator"])
    plain = gansmith.train("gan", out=tmp_path / "plain", **TINY)
    made = gansmith.train("gan", out=tmp_path / "made", compile="auto", **TINY)
    assert compiles_plainly == ["generator", "discriminator"]
    torch.testing.assert_close(made.sample(4, seed=0), plain.sample(4, seed=0), atol=1, rtol=0)
    assert Run.open(tmp_path / "made").facts["compiled"] == ["generator", "discriminator"]

    def never(*_):
        raise AssertionError("a resumed run computes as it began")

    monkeypatch.setattr(compiling, "choose", never)
    gansmith.train("gan", out=tmp_path / "made", compile="auto", resume=True, **TINY | {"steps": 8})
    assert compiles_plainly == ["generator", "discriminator"] * 2


def test_a_critic_that_is_differentiated_twice_stays_as_it_is(compiles_plainly: list[str]):
    from gansmith.bench.measure import RandomPictures
    from gansmith.devices import Device
    from gansmith.game import ImageSpec

    spec = ImageSpec(16, 16, 1)
    game = gansmith.build("wgan-gp", size=16, channels=1, width=4)
    device = Device(torch.device("cpu"))
    batches = RandomPictures(spec, 8, device.torch_device, False)
    with pytest.raises(RuntimeError, match="double backward"):
        compiling.step_seconds(game, ["discriminator"], batches, device)
    assert (
        compiling.step_seconds(gansmith.build("wgan-gp", size=16, channels=1, width=4), ["generator"], batches, device)
        > 0
    )

"""The weight average: what it converges to, and that moving it rarely changes nothing that counts."""

from __future__ import annotations

import pytest
import torch

import gansmith
from gansmith.game import Clock, Game
from gansmith.training.hooks import Average
from gansmith.training.state import State

BATCH = 64


def follow(game: Game, average: Average, steps: int, drift: float) -> torch.Tensor:
    """Let the generator's first bias drift by ``drift`` a step; what the average made of it at every step."""
    bias = next(p for name, p in game.generator.named_parameters() if name.endswith("bias"))  # type: ignore[operator]
    mine = dict(average.game.generator.named_parameters())  # type: ignore[operator]
    name = next(name for name in mine if name.endswith("bias"))
    seen = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            bias.fill_(drift * step)
        average(game, State(0, Clock(step * BATCH, step)), {})
        seen.append(mine[name][0].item())
    return torch.tensor(seen, dtype=torch.float64)


def every_step(steps: int, drift: float, game: Game) -> torch.Tensor:
    """The same by the formula, at every step: a <- beta a + (1 - beta) w."""
    value, seen = 0.0, []
    for step in range(1, steps + 1):
        beta = game.ema_beta(Clock(step * BATCH, step), BATCH)
        value = beta * value + (1 - beta) * drift * step
        seen.append(value)
    return torch.tensor(seen, dtype=torch.float64)


@pytest.mark.parametrize("family", ["gan", "stylegan2"])
def test_a_slow_average_moves_rarely_and_to_the_same_place(family: str) -> None:
    settings = {"width": 1 / 32, "latent_dim": 8, "style_dim": 8} if family == "stylegan2" else {"width": 4}
    game = gansmith.build(family, size=8, channels=1, **settings)
    average = Average(game, BATCH)
    steps = 8_000
    found, exact = follow(game, average, steps, 1e-3), every_step(steps, 1e-3, game)
    every = average.interval(game, Clock(steps * BATCH, steps))
    assert every == (4 if family == "gan" else 9)
    moves = (found[1:] != found[:-1])[-1000:].double().mean().item()
    assert moves == pytest.approx(1 / every, rel=0.01)
    lag = 1e-3 * torch.arange(1, steps + 1) - exact
    off = (found - exact).abs()
    assert (off <= 0.05 * lag + 1e-3 * every).all(), "an average that trails by a lag is off by a small part of it"


def test_fast_averages_and_none_follow_every_step() -> None:
    off = gansmith.build("gan", size=8, channels=1, width=4, ema_images=0)
    assert torch.equal(follow(off, Average(off, BATCH), 50, 2**-10), torch.arange(1, 51).double() / 1024)
    fast = gansmith.build("gan", size=8, channels=1, width=4, ema_images=1_000)
    average = Average(fast, BATCH)
    assert average.interval(fast, Clock(10**6, 10**4)) == 1
    assert torch.allclose(follow(fast, average, 400, 1e-3), every_step(400, 1e-3, fast), rtol=1e-4, atol=1e-6)


def test_the_beginning_of_a_run_is_averaged_at_every_step() -> None:
    game = gansmith.build("gan", size=8, channels=1, width=4)
    average = Average(game, BATCH)
    assert {average.interval(game, Clock(step * BATCH, step)) for step in range(1, 1000)} == {1}

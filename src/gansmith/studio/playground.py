"""The 2-D playground: families play their own losses and turns on points in the plane, watched from above.

The networks are tiny (two hidden layers), so that thousands of steps pass in a minute and everything about the game can
be drawn: where the samples are, what the discriminator thinks of every place, and which way it pushes each sample.
"""

from __future__ import annotations

import base64
import math
import threading
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gansmith import registry
from gansmith.devices import Device
from gansmith.game import Batch, Clock, Game, ImageSpec
from gansmith.parallel import seeding
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State

EXTENT = 1.5
"""The plane is drawn from -EXTENT to EXTENT."""
UNIT = 3.0
"""The networks see the plane this much larger: modes then lie several units apart, which small networks tell apart sooner."""
CELLS = 44
"""The landscape is computed on CELLS x CELLS places."""
SHOWN, ARROWS = 300, 70
BATCH = 128
WIDTH = 64
LATENT = 2
NEAR = 0.15
"""A sample this near to a drawn point counts as good."""
IDLE_SECONDS = 6.0
"""A playground that nobody looks at stops computing after this long."""

SETTINGS: dict[str, dict[str, Any]] = {
    "gan": {"latent_dim": LATENT, "lr": 1e-3, "beta1": 0.5},
    "wgan-gp": {"latent_dim": LATENT, "lr": 1e-3, "lr_decay": "none", "penalty": 1.0, "critic_steps": 3},
    "r3gan": {"latent_dim": LATENT, "lr": 1e-3, "beta1": 0.0, "gamma": 0.08, "gamma_end": 0.08, "lr_end": 1e-3},
}
"""Settings of each family that suit points instead of pictures."""


class World:
    """Real points.

    Args:
        kind: ring, grid, spiral or drawn.
        points: [N, 2] within the plane, for ``drawn``.

    Attributes:
        modes: [K, 2] centres, or None where there are none to count.
        sigma: spread around each centre or line.
    """

    def __init__(self, kind: str, points: np.ndarray | None = None) -> None:
        self.kind, self.sigma, self.modes = kind, 0.05, None
        if kind == "ring":
            angles = torch.arange(8) * (math.tau / 8)
            self.modes = torch.stack([angles.cos(), angles.sin()], 1)
        elif kind == "grid":
            side = torch.linspace(-1, 1, 5)
            self.modes = torch.cartesian_prod(side, side)
        elif kind == "spiral":
            t = torch.linspace(0.15, 1, 400).sqrt()
            self.base = torch.stack([t * (9 * t).cos(), t * (9 * t).sin()], 1) * 1.15
        else:
            assert points is not None
            self.base = torch.from_numpy(points).float()
        if self.modes is not None:
            self.base = self.modes
        self.spots = self.draw(2000, torch.Generator().manual_seed(0))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Real points [n, 2]."""
        rows = torch.randint(len(self.base), (n,), generator=generator)
        return self.base[rows] + self.sigma * torch.randn(n, 2, generator=generator)

    def judge(self, samples: Tensor) -> dict[str, float]:
        """How good samples [N, 2] are: share near a real place, and how much of the real places they reach."""
        if self.modes is not None:
            distance, mode = torch.cdist(samples, self.modes).min(1)
            good = distance < NEAR
            fair = len(samples) / len(self.modes)
            found = int((torch.bincount(mode[good], minlength=len(self.modes)) > fair / 4).sum())
            return {"good": float(good.float().mean()), "found": found, "of": len(self.modes)}
        distance = torch.cdist(samples, self.spots[:400])
        reached = float((distance.min(0).values < NEAR).float().mean())
        return {"good": float((distance.min(1).values < NEAR).float().mean()), "found": round(100 * reached), "of": 100}


class Points:
    """Batches of real points, as the engine asks for them."""

    world_size = BATCH

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed

    def at(self, drawn: int) -> Batch:
        generator = torch.Generator().manual_seed(seeding.derive(self.seed, "points", drawn))
        return Batch(UNIT * self.world.draw(BATCH, generator))


class Net(nn.Sequential):
    """A small MLP that also takes, and ignores, labels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, WIDTH),
            nn.LeakyReLU(0.2),
            nn.Linear(WIDTH, WIDTH),
            nn.LeakyReLU(0.2),
            nn.Linear(WIDTH, outputs),
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x)


class Judge(nn.Module):
    """The discriminator's network: an MLP on waves over the plane, which tells near places apart sooner than raw numbers.

    Fourier features, Tancik et al. 2020 (arXiv:2006.10739).
    """

    def __init__(self, waves: int = 2) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.arange(1, waves + 1) * 1.0)
        self.net = Net(2 + 4 * waves, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        angles = (x[:, :, None] * self.get_buffer("frequencies")).flatten(1)
        return self.net(torch.cat([x, angles.sin(), angles.cos()], 1))


class Player:
    """One family at play."""

    def __init__(self, family: str, world: World, seed: int, speed: float) -> None:
        kind = registry.family(family)
        settings = SETTINGS[family]
        config = kind.Config(
            **(settings | {name: settings[name] * speed for name in ("lr", "lr_end") if name in settings})
        )
        torch.manual_seed(seeding.derive(seed, "init"))
        networks = {"generator": Net(LATENT, 2), "discriminator": Judge()}
        self.family, self.world = family, world
        self.game: Game = kind(config, ImageSpec(1, 2, 1), networks)
        self.optimizers = engine.make_optimizers(self.game, torch.device("cpu"))
        self.source, self.state = Points(world, seed), State(seed)
        self.turns, self.plan = self.game.turns(), Plan(Device(torch.device("cpu")))
        self.latents = torch.randn(1000, LATENT, generator=torch.Generator().manual_seed(1))
        axis = torch.linspace(-EXTENT, EXTENT, CELLS)
        self.places = (
            torch.stack(torch.meshgrid(-axis, axis, indexing="ij"), -1).flip(-1).flatten(0, 1)
        )  # row by row from the top
        self.failed = ""
        self.losses: dict[str, float] = {}

    def step(self) -> None:
        """One step of the game, as the engine plays it."""
        clock = self.state.clock
        self.state.clock = Clock(clock.images + BATCH, clock.step + 1, 0.0)
        seeding.seed_step(self.state.seed, self.state.clock.step)
        self.game.train()
        logs = steps.step(self.game, self.optimizers, self.source, self.state, self.turns, self.plan)
        for name, value in logs.items():
            if name.startswith("loss/"):
                self.losses[name.removeprefix("loss/")] = float(value)
        if not all(math.isfinite(value) for value in self.losses.values()):
            self.failed = "A loss became infinite: this game is lost. Start again with a lower learning rate."

    def frame(self) -> dict[str, Any]:
        """Everything to draw, small numbers packed in base64; of a lost game, whose numbers are none, zeros."""
        generator, discriminator = self.game.get_submodule("generator"), self.game.get_submodule("discriminator")
        with torch.no_grad():
            samples = generator(self.latents).nan_to_num(0.0)
            heights = discriminator(UNIT * self.places).flatten().nan_to_num(0.0)
        pushed = samples[:ARROWS].clone().requires_grad_()
        samples = samples / UNIT
        (push,) = torch.autograd.grad(discriminator(pushed).sum(), pushed)
        push = push.nan_to_num(0.0)
        low, high = float(heights.min()), float(heights.max())
        if self.family == "gan":  # its logits mean something by themselves: the probability of being real
            shown = heights.sigmoid()
        else:
            shown = (heights - low) / max(high - low, 1e-6)
        longest = float(push.norm(dim=1).max())
        return {
            "family": self.family,
            "step": self.state.clock.step,
            "samples": pack16(samples[:SHOWN] / (2 * EXTENT)),
            "landscape": base64.b64encode((shown * 255).clamp(0, 255).to(torch.uint8).numpy().tobytes()).decode(),
            "range": [round(low, 3), round(high, 3)],
            "push": pack16(push / max(longest, 1e-9)),
            "steepness": round(longest, 3),
            "losses": {name: round(value, 4) for name, value in self.losses.items() if math.isfinite(value)},
            "failed": self.failed,
            **self.world.judge(samples),
        }


def pack16(values: Tensor) -> str:
    """Numbers in [-1, 1] as base64 of little-endian int16."""
    return base64.b64encode((values.clamp(-1, 1) * 32767).to(torch.int16).numpy().astype("<i2").tobytes()).decode()


class Playground:
    """Several families side by side on one world, stepped by a thread while somebody looks.

    Args:
        world: the real points.
        families: which ones.
        seed: the same seed starts the same game.
        speed: factor on the learning rates.
    """

    def __init__(self, world: World, families: list[str], seed: int, speed: float) -> None:
        self.players = [Player(family, world, seed, speed) for family in families]
        self.world, self.running, self.pace = world, True, 1.0
        self.touched = time.monotonic()
        self._frame = self._draw()
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None

    def look(self) -> dict[str, Any]:
        """The newest frame; computing goes on for a while after each look."""
        self.touched = time.monotonic()
        with self._starting:
            if self.running and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._play, daemon=True, name="playground")
                self._thread.start()
        return self._frame | {"running": self.running}

    def advance(self, steps: int) -> dict[str, Any]:
        """Take some steps now, while paused."""
        with self._lock:
            self._steps(steps)
            self._frame = self._draw()
        return self._frame | {"running": self.running}

    def _steps(self, count: int) -> None:
        for player in self.players:
            for _ in range(count):
                if not player.failed:
                    player.step()

    def _play(self) -> None:
        while self.running and time.monotonic() - self.touched < IDLE_SECONDS:
            started = time.monotonic()
            with self._lock:
                while time.monotonic() - started < 0.1 * self.pace:
                    self._steps(1)
                self._frame = self._draw()
            time.sleep(max(0.005, 0.12 - (time.monotonic() - started)))

    def _draw(self) -> dict[str, Any]:
        return {"players": [player.frame() for player in self.players]}


def parse_points(rows: list[Any]) -> np.ndarray:
    """Drawn points [N, 2] in [-1.4, 1.4], from the page's lists of two numbers.

    Raises:
        ValueError: they are not that.
    """
    try:
        points = np.asarray(rows, dtype=np.float64)
    except OverflowError:  # whole numbers that no float can hold
        raise ValueError("points are pairs of numbers") from None
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError("points are pairs of numbers")
    return points.clip(-1.4, 1.4).astype(np.float32)

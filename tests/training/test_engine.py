"""The engine plays turns: each is checked against the same thing done by hand."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import gansmith
from gansmith import devices
from gansmith.data.batches import Batches, Order
from gansmith.data.sources import MemoryPictures
from gansmith.files.pictures import to_float, to_uint8
from gansmith.game import Batch, Clock, Game, Optimizer, Turn
from gansmith.parallel import seeds
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State

CPU = devices.Device(torch.device("cpu"))


class Recorder(Game):
    """Notes who plays, when and on what."""

    players = {"critic": ("critic",), "generator": ("generator",)}
    exports = ("generator",)

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.critic, self.generator = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.heard: list[tuple[str, int, float]] = []

    def turns(self):
        return (
            Turn(
                "critic", self.critic_loss, after=lambda batch, logs: self.heard.append(("after", batch.clock.step, 0))
            ),
            Turn("generator", self.generator_loss, every=3),
            Turn("generator", self.fresh_loss, every=3, fresh=True),
        )

    def loss(self, name, network, batch):
        self.heard.append((name, batch.clock.step, float(batch.images[0])))
        return network(batch.images).square().mean(), {}

    def critic_loss(self, batch):
        return self.loss("critic", self.critic, batch)

    def generator_loss(self, batch):
        return self.loss("generator", self.generator, batch)

    def fresh_loss(self, batch):
        return self.loss("fresh", self.generator, batch)

    def optimizer(self, player, clock):
        return Optimizer(0.1 if clock.step < 4 else 0.0, kind="sgd")


class Counting:
    world_size = 2

    def at(self, drawn):
        return Batch(torch.tensor([[float(drawn)], [float(drawn + 1)]]), world_size=2)


def test_schedule_of_turns_and_fresh_batches():
    game, state = Recorder(), State(0)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    engine.train(game, optimizers, Counting(), state, goal=engine.Goal(images=8), plan=Plan(CPU))
    assert game.heard == [
        ("critic", 1, 0.0), ("after", 1, 0),
        ("critic", 2, 2.0), ("after", 2, 0),
        ("critic", 3, 4.0), ("after", 3, 0), ("generator", 3, 4.0), ("fresh", 3, 6.0),
        ("critic", 4, 8.0), ("after", 4, 0),
    ]  # fmt: skip
    assert (state.clock.images, state.clock.step, state.drawn) == (8, 4, 10)
    assert optimizers["critic"].param_groups[0]["lr"] == 0.0


def test_a_turn_that_begins_late():
    class Late(Recorder):
        def turns(self):
            return Turn("generator", self.generator_loss), Turn("critic", self.critic_loss, begins=0.6)

    game, state = Late(), State(0)
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    engine.train(game, optimizers, Counting(), state, goal=engine.Goal(images=8), plan=Plan(CPU))
    assert [step for name, step, _ in game.heard if name == "generator"] == [1, 2, 3, 4]
    assert [step for name, step, _ in game.heard if name == "critic"] == [3, 4]


def test_accumulated_parts_equal_the_whole_batch():
    images = torch.randn(8, 1, 16, 16)
    grads = []
    for parts in (1, 4):
        torch.manual_seed(0)
        game = gansmith.build("gan", size=16, channels=1, width=8, latent_dim=4)
        z = torch.randn(8, 4)
        clock = Clock(8, 1)
        batches = steps.split(Batch(images), parts, clock)
        for batch, noise in zip(batches, z.tensor_split(parts), strict=True):
            batch.keep("fakes", lambda noise=noise, game=game: game.get_submodule("generator")(noise))
        optimizer = engine.make_optimizers(game, torch.device("cpu"))["discriminator"]
        steps.play(game, optimizer, game.turns()[0], batches, Plan(CPU))
        grads.append([p.grad.clone() for p in game.player_parameters("discriminator")])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_gradients_are_clipped_to_the_norm():
    game = gansmith.build("gan", size=16, channels=1, width=8)
    optimizer = engine.make_optimizers(game, torch.device("cpu"))["discriminator"]
    steps.play(game, optimizer, game.turns()[0], [Batch(torch.randn(4, 1, 16, 16))], Plan(CPU, clip_grad=1e-3))
    norm = torch.stack([p.grad.norm() for p in game.player_parameters("discriminator")]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_order_is_a_permutation_of_every_epoch_and_depends_on_the_seed():
    order = Order(10, 1)
    first, second = order(0, 10), order(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(order(5, 10)) == [*first[5:], *second[:5]]
    assert list(Order(10, 2)(0, 10)) != list(first)


def test_two_processes_see_what_one_sees():
    pictures = MemoryPictures.from_arrays(
        np.arange(20 * 64, dtype=np.int64).reshape(20, 8, 8).astype(np.uint8), np.arange(20)
    )
    whole = Batches(pictures, 8, 3, flip=True).at(8)
    noise = torch.manual_seed(5) and seeds.normal(8, 2)
    halves = []
    try:
        for rank in (0, 1):
            seeds.set_process(rank, 2)
            torch.manual_seed(5)
            halves.append((Batches(pictures, 8, 3, flip=False).at(8), seeds.normal(4, 2)))
    finally:
        seeds.set_process(0, 1)
    assert torch.equal(torch.cat([h[0].labels for h in halves]), whole.labels)
    assert torch.equal(torch.cat([h[1] for h in halves]), noise)


def test_pixels_survive_the_way_there_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)
    assert to_float(pixels).min() == -1
    assert to_float(pixels).max() == 1


def test_optimizer_state_is_restored_in_the_weights_memory_layout():
    conv = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(conv.parameters(), fused=True)
    conv(torch.randn(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    saved = {"state": {}, "param_groups": optimizer.state_dict()["param_groups"]}
    for key, value in optimizer.state_dict()["state"].items():
        saved["state"][key] = {k: v.clone(memory_format=torch.contiguous_format) for k, v in value.items()}
    engine.load_optimizer(optimizer, saved)
    assert optimizer.state[conv.weight]["exp_avg"].stride() == conv.weight.stride()


class Watching(Recorder):
    """Notes whose weights need a gradient while a loss is computed."""

    def loss(self, name, network, batch):
        needed = tuple(next(net.parameters()).requires_grad for net in (self.critic, self.generator))
        self.heard.append((name, batch.clock.step, needed))
        return super().loss(name, network, batch)


def test_who_has_played_for_the_last_time_in_a_step_needs_no_gradient():
    game = Watching()
    optimizers = engine.make_optimizers(game, CPU.torch_device)
    for step in (1, 2, 3):
        state = State(0, Clock(2 * step, step))
        steps.step(game, optimizers, Counting(), state, game.turns(), Plan(CPU))
    seen = [(name, step, needed) for name, step, needed in game.heard if isinstance(needed, tuple)]
    assert seen == [
        ("critic", 1, (True, False)),
        ("critic", 2, (True, False)),
        ("critic", 3, (True, True)),
        ("generator", 3, (False, True)),
        ("fresh", 3, (False, True)),
    ]
    assert all(p.requires_grad for p in game.parameters())


def test_unknown_device_and_precision_are_said():
    with pytest.raises(gansmith.GansmithError, match="cannot be used here"):
        devices.resolve("cuda:7" if not torch.cuda.is_available() else "nonsense")
    with pytest.raises(gansmith.GansmithError, match="--precision"):
        devices.resolve("cpu", "fp8")


PAGES = """
import resource, torch
from gansmith import devices

def pages_touched(megabytes=96):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(megabytes << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with devices.kept_memory(torch.device("cpu")):
    pages_touched(256)  # an allocation with an alignment never fits exactly where one of its size was
    kept = min(pages_touched() for _ in range(3))
print(kept, pages_touched())  # at its end everything that was kept has gone back
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_freed_memory_stays_while_training():
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    kept, given_back = map(int, done.stdout.split())
    assert kept < 100
    assert given_back > 10 * max(kept, 1)


def test_a_batch_that_is_read_ahead_stays_its_processs_own():
    """Hooks act as the only process while another thread reads the next batch: it must not believe that it is alone."""

    class Slow(MemoryPictures):
        streams = True
        begin = threading.Event()

        def fetch_deep(self, indices):
            if threading.current_thread() is not threading.main_thread():
                self.begin.wait(10)
            return super().fetch_deep(indices)

    array = np.arange(20 * 64, dtype=np.int64).reshape(20, 8, 8).astype(np.uint8)
    pictures = MemoryPictures.from_arrays(array, np.arange(20))
    slow = Slow(pictures.x, pictures.y, pictures.spec, names=pictures.names, name="x", hash="x", skipped=[])
    whole = Batches(pictures, 8, 3).at(8)
    seeds.set_process(0, 2)
    try:
        batches = Batches(slow, 8, 3)
        batches.at(0)
        with seeds.alone():  # a hook, in the middle of which the next batch is read
            assert seeds.process() == (0, 1)
            slow.begin.set()
            ahead = batches.at(8)
        assert seeds.process() == (0, 2)
    finally:
        seeds.set_process(0, 1)
    assert len(ahead) == 4
    assert torch.equal(ahead.labels, whole.labels[:4])


def test_who_a_process_takes_itself_for_holds_for_one_thread():
    seeds.set_process(1, 4)
    try:
        with seeds.alone(), seeds.stacked(2), ThreadPoolExecutor(1) as pool:
            assert pool.submit(seeds.process).result() == (1, 4)
            torch.manual_seed(0)
            there = pool.submit(lambda: seeds.normal(2, 1)).result()
        torch.manual_seed(0)
        assert torch.equal(there, torch.randn(8, 1)[2:4])
        assert seeds.process() == (1, 4)
    finally:
        seeds.set_process(0, 1)

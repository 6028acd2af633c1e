"""CycleGAN's step as a plain fp32 loop, written after the paper: the yardstick for the family ``cyclegan``.

    python benchmarks/cyclegan_plain.py [--size 128] [--blocks 9] [--steps 3] [--threads 2]

Both sides start from the same weights and see the same pictures, alternating in one process. Same losses at the first
step, then medians of the time per step.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(256, 256, 3), nn.InstanceNorm2d(256)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(True), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Generator(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, 64, 7), nn.InstanceNorm2d(64), nn.ReLU(True)]
        for c in (64, 128):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1), nn.InstanceNorm2d(2 * c), nn.ReLU(True)]
        layers += [Block() for _ in range(blocks)]
        for c in (256, 128):
            layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), nn.InstanceNorm2d(c // 2), nn.ReLU(True)]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(64, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for c, after, stride in ((64, 128, 2), (128, 256, 2), (256, 512, 1)):
            layers += [nn.Conv2d(c, after, 4, stride, 1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2, True)]
        self.model = nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Pool:
    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def query(self, fakes: Tensor) -> Tensor:
        given = []
        for fake in fakes.detach().split(1):
            if len(self.kept) < 50:
                self.kept.append(fake)
                given.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(50)
                given.append(self.kept[place])
                self.kept[place] = fake
            else:
                given.append(fake)
        return torch.cat(given)


class Plain:
    """Networks, optimizers and pools of the plain loop."""

    def __init__(self, blocks: int) -> None:
        self.ab, self.ba = Generator(blocks), Generator(blocks)
        self.da, self.db = Discriminator(), Discriminator()
        g = itertools.chain(self.ab.parameters(), self.ba.parameters())
        d = itertools.chain(self.da.parameters(), self.db.parameters())
        self.optimizer_g = torch.optim.Adam(g, 2e-4, (0.5, 0.999))
        self.optimizer_d = torch.optim.Adam(d, 2e-4, (0.5, 0.999))
        self.pool_a, self.pool_b = Pool(), Pool()

    def plain_step(self, a: Tensor, b: Tensor) -> tuple[float, float]:
        """One step, batch after batch as in the paper's order; returns both players' losses."""
        for p in itertools.chain(self.da.parameters(), self.db.parameters()):
            p.requires_grad_(False)
        self.optimizer_g.zero_grad()
        fake_b, fake_a = self.ab(a), self.ba(b)
        cycled_a, cycled_b = self.ba(fake_b), self.ab(fake_a)
        logits_b, logits_a = self.db(fake_b), self.da(fake_a)
        loss_g = mse_loss(logits_b, torch.ones_like(logits_b)) + mse_loss(logits_a, torch.ones_like(logits_a))
        loss_g = loss_g + 10 * (l1_loss(cycled_a, a) + l1_loss(cycled_b, b))
        loss_g = loss_g + 5 * (l1_loss(self.ab(b), b) + l1_loss(self.ba(a), a))
        loss_g.backward()
        self.optimizer_g.step()
        for p in itertools.chain(self.da.parameters(), self.db.parameters()):
            p.requires_grad_(True)
        self.optimizer_d.zero_grad()
        total = 0.0
        for network, real, fake in ((self.da, a, self.pool_a.query(fake_a)), (self.db, b, self.pool_b.query(fake_b))):
            on_real, on_fake = network(real), network(fake)
            loss = 0.5 * (mse_loss(on_real, torch.ones_like(on_real)) + mse_loss(on_fake, torch.zeros_like(on_fake)))
            loss.backward()
            total += loss.item()
        self.optimizer_d.step()
        return loss_g.item(), total


def ours(size: int, blocks: int, plain: Plain | None = None) -> Callable[[Tensor, Tensor], tuple[float, float]]:
    """A step of the family ``cyclegan`` through the engine, from the plain loop's weights where it is given."""
    from gansmith import devices
    from gansmith.game import Batch, Clock, ImageSpec
    from gansmith.gans.cyclegan import Config, CycleGAN
    from gansmith.training import engine, steps
    from gansmith.training.state import Plan

    game = CycleGAN(Config(blocks=blocks), ImageSpec(size, size, 3, other_channels=3))
    if plain is not None:
        pairs = ((game.generator_ab, plain.ab), (game.generator_ba, plain.ba))
        for mine, theirs in (*pairs, (game.discriminator_a, plain.da), (game.discriminator_b, plain.db)):
            mine.load_state_dict(theirs.state_dict())
    game.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    plan = Plan(devices.resolve("cpu"))
    optimizers = engine.make_optimizers(game, torch.device("cpu"))
    turns = game.turns()
    clock = Clock()

    def step(a: Tensor, b: Tensor) -> tuple[float, float]:
        clock.step += 1
        images, other = (x.contiguous(memory_format=torch.channels_last) for x in (a, b))
        batch = Batch(images, other=other, clock=clock)
        logs = {}
        for turn in turns:
            logs |= steps.play(game, optimizers[turn.player], turn, [batch], plan)
        return logs["loss/generators"].item(), logs["loss/discriminators"].item()

    return step


def main() -> None:
    from speed import alternate, timed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    plain = Plain(args.blocks)
    family_step = ours(args.size, args.blocks, plain)
    pair = [torch.rand(1, 3, args.size, args.size) * 2 - 1 for _ in range(2)]
    print(f"losses of the first step: plain {plain.plain_step(*pair)}, gansmith {family_step(*pair)}")
    found = alternate(timed(lambda: family_step(*pair)), timed(lambda: plain.plain_step(*pair)), args.steps, 1)
    print(f"plain fp32 NCHW {found['theirs_ms']:.0f} ms/step, gansmith {found['ours_ms']:.0f} ms/step")
    print(f"gansmith is {found['ratio']:.2f}x as fast")


if __name__ == "__main__":
    main()

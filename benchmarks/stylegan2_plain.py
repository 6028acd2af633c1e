"""StyleGAN2's training step here against a plain loop written after the paper: images per second and memory.

The plain loop is what one writes first: one set of weights per picture and a grouped convolution, resampling by
inserting zeros, a generator pass for each player, Adam as it comes. It is fp32 and complete: both players, lazy R1 and
path length, style mixing, the weight average. ``--strided`` gives it the transposed convolution for upsampling that the
published code uses (the paper's text upsamples, then convolves).

    python benchmarks/stylegan2_plain.py --size 32 --batch 16 --rounds 3

Both sides take turns in one run, part by part; a step is main + R1 / 16 + path / 4, each part the median of its rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Parts = dict[str, Callable[[], object]]
"""One training step in parts: "main" (every step), "r1" (every 16th), "path" (every 4th)."""

KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def resample(x: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0) -> Tensor:
    """Zeros between the pixels, padding, the filter, every down-th pixel."""
    n, c, h, w = x.shape
    if up > 1:
        sparse = x.new_zeros(n, c, h, up, w, up)
        sparse[:, :, :, 0, :, 0] = x
        x = sparse.reshape(n, c, h * up, w * up)
    x = F.pad(x, (*pad, *pad))
    weight = (KERNEL.to(x.device) * gain).expand(c, 1, 4, 4)
    return F.conv2d(x, weight, groups=c)[:, :, ::down, ::down]


def lrelu(x: Tensor, bias: Tensor) -> Tensor:
    return F.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.dim() - 2)), 0.2) * math.sqrt(2)


class Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, lr: float = 1.0, active: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.randn(outputs, inputs) / lr),
            nn.Parameter(torch.full((outputs,), bias)),
        )
        self.gain, self.lr, self.active = lr / math.sqrt(inputs), lr, active

    def forward(self, x: Tensor) -> Tensor:
        x = x @ (self.weight * self.gain).t()
        return lrelu(x, self.bias * self.lr) if self.active else x + self.bias * self.lr


class ModulatedConv(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, up: bool, final: bool, strided: bool
    ) -> None:
        super().__init__()
        self.affine = Dense(style, inputs, 1.0)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = None if final else nn.Parameter(torch.zeros(()))
        self.up, self.final, self.strided = up, final, strided
        self.scale = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        n, inputs, height, width = x.shape
        weight = self.scale * self.weight * self.affine(w)[:, None, :, None, None]
        if not self.final:
            weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        _, outputs, _, k, _ = weight.shape
        if self.up and self.strided:
            weight = weight.transpose(1, 2).reshape(n * inputs, outputs, k, k)
            x = F.conv_transpose2d(x.reshape(1, n * inputs, height, width), weight, stride=2, groups=n)
            x = resample(x.reshape(n, outputs, *x.shape[2:]), pad=(1, 1), gain=4)
        else:
            if self.up:
                x = resample(x, up=2, pad=(2, 1), gain=4)
            x = x.reshape(1, n * inputs, *x.shape[2:])
            x = F.conv2d(x, weight.reshape(n * outputs, inputs, k, k), padding=k // 2, groups=n)
            x = x.reshape(n, outputs, *x.shape[2:])
        if self.strength is None:
            return x + self.bias[:, None, None]
        return lrelu(x + self.strength * torch.randn(n, 1, *x.shape[2:]), self.bias)


class Generator(nn.Module):
    def __init__(self, sizes: list[int], channels: list[int], style: int, colours: int, strided: bool) -> None:
        super().__init__()
        self.mapping = nn.Sequential(*[Dense(style, style, lr=0.01, active=True) for _ in range(2)])
        self.const = nn.Parameter(torch.randn(1, channels[0], sizes[0], sizes[0]))
        self.convs, self.colours = nn.ModuleList(), nn.ModuleList()
        for k, c in enumerate(channels):
            if k:
                self.convs.append(ModulatedConv(channels[k - 1], c, 3, style, True, False, strided))
            self.convs.append(ModulatedConv(c, c, 3, style, False, False, strided))
            self.colours.append(ModulatedConv(c, colours, 1, style, False, True, strided))
        self.styles = len(self.convs) + 1

    def mix(self, n: int, style: int) -> Tensor:
        z = torch.randn(2, n, style)
        one, two = (self.mapping(half / (half.square().mean(1, keepdim=True) + 1e-8).sqrt()) for half in z)
        cut = int(torch.randint(1, self.styles, ())) if torch.rand(()) < 0.9 else self.styles
        return torch.stack([one if i < cut else two for i in range(self.styles)], 1)

    def forward(self, styles: Tensor) -> Tensor:
        w = styles.unbind(1)
        x = self.convs[0](self.const.repeat(len(styles), 1, 1, 1), w[0])
        image = self.colours[0](x, w[1])
        for k in range(1, len(self.colours)):
            x = self.convs[2 * k](self.convs[2 * k - 1](x, w[2 * k - 1]), w[2 * k])
            image = resample(image, up=2, pad=(2, 1), gain=4) + self.colours[k](x, w[2 * k + 1])
        return image


class Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, active: bool = True, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if active else None
        self.scale, self.down, self.pad = 1 / math.sqrt(inputs * kernel**2), down, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.down:
            x = resample(x, pad=(self.pad + 1, self.pad + 1))
            x = F.conv2d(x, self.weight * self.scale, stride=2)
        else:
            x = F.conv2d(x, self.weight * self.scale, padding=self.pad)
        return x if self.bias is None else lrelu(x, self.bias)


class Discriminator(nn.Module):
    def __init__(self, channels: list[int], base: int, colours: int) -> None:
        super().__init__()
        self.first = Conv(colours, channels[0], 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Conv(i, i, 3), Conv(i, o, 3, down=True), Conv(i, o, 1, active=False, down=True)])
            for i, o in pairwise(channels)
        )
        c = channels[-1]
        self.conv, self.dense, self.logit = Conv(c + 1, c, 3), Dense(c * base**2, c, active=True), Dense(c, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for conv0, conv1, skip in self.blocks:  # type: ignore[misc]
            x = (conv1(conv0(x)) + skip(x)) / math.sqrt(2)
        n, c, h, w = x.shape
        y = x.reshape(4, n // 4, c, h, w)
        std = (y.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).repeat(4)
        x = self.conv(torch.cat([x, std[:, None, None, None].expand(n, 1, h, w)], 1))
        return self.logit(self.dense(x.flatten(1)))


def plain_step(size: int, batch: int, channels: int = 3, width: float = 1.0, strided: bool = False) -> Parts:
    """The plain loop's step on random pictures of ``size`` px; see the module."""
    sizes = [4 << k for k in range(int(math.log2(size)) - 1)]
    widths = [round(min(16384 // s, 512) * width) for s in sizes]
    generator = Generator(sizes, widths, 512, channels, strided)
    discriminator = Discriminator(widths[::-1], sizes[0], channels)
    average = Generator(sizes, widths, 512, channels, strided).requires_grad_(False)
    optimizer_g = torch.optim.Adam(generator.parameters(), 0.0025 * 4 / 5, (0.0, 0.99 ** (4 / 5)))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 0.0025 * 16 / 17, (0.0, 0.99 ** (16 / 17)))
    real, length = torch.rand(batch, channels, size, size) * 2 - 1, torch.zeros(())

    def descend(loss: Tensor, optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
        optimizer.zero_grad()
        loss.backward(inputs=list(network.parameters()))
        optimizer.step()

    def main() -> None:
        with torch.no_grad():
            fake = generator(generator.mix(batch, 512))
        descend(
            F.softplus(discriminator(fake)).mean() + F.softplus(-discriminator(real)).mean(), optimizer_d, discriminator
        )
        descend(F.softplus(-discriminator(generator(generator.mix(batch, 512)))).mean(), optimizer_g, generator)
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), generator.parameters(), strict=True):
                ours.lerp_(theirs, 0.002)

    def r1() -> None:
        images = real.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        descend(0.0002 * size**2 / batch / 2 * 16 * gradient.square().sum((1, 2, 3)).mean(), optimizer_d, discriminator)

    def path() -> None:
        styles = generator.mix(batch // 2, 512)
        images = generator(styles)
        (gradient,) = torch.autograd.grad((images * torch.randn_like(images) / size).sum(), styles, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        mean = length.lerp(lengths.mean(), 0.01)
        length.copy_(mean.detach())
        descend(2 * 4 * (lengths - mean).square().mean(), optimizer_g, generator)

    return {"main": main, "r1": r1, "path": path}


def our_step(size: int, batch: int, channels: int = 3, width: float = 1.0) -> Parts:
    """gansmith's step on random pictures, turn by turn, in the precision that training takes."""

    from gansmith import devices
    from gansmith.bench.measure import RandomPictures, ready_to_train
    from gansmith.game import Clock, ImageSpec
    from gansmith.gans.stylegan2 import Config, StyleGAN2
    from gansmith.training import engine, hooks, steps
    from gansmith.training.state import Plan, State

    device, spec = devices.resolve("cpu"), ImageSpec(size, size, channels)
    game, channels_last = ready_to_train(
        StyleGAN2(Config(width=width, path_weight=2.0, style_mixing=0.9), spec).train(), device
    )
    average = hooks.Average(game, batch)
    optimizers = engine.make_optimizers(game, device.torch_device)
    plan = Plan(device)
    turns = {turn.loss.__name__: turn for turn in game.turns()}
    pictures = RandomPictures(spec, batch, device.torch_device, channels_last)
    state = State(0, Clock(1_000_000))

    def play(*names: str) -> None:
        parts = steps.split(pictures.at(0), 1, state.clock)
        for name in names:
            steps.play(game, optimizers[turns[name].player], turns[name], parts, plan)

    def main() -> None:
        play("discriminator_loss", "generator_loss")
        state.clock.step += 1
        average(game, state, {})

    return {"main": main, "r1": lambda: play("r1_penalty"), "path": lambda: play("path_penalty")}


SHARE = {"main": 1.0, "r1": 1 / 16, "path": 1 / 4}


def measure(
    sides: dict[str, Parts], rounds: int, clock: Callable[[], float], keeps: str
) -> dict[str, dict[str, float]]:
    """Median seconds of every part of every side, the sides taking turns, each after an untimed step.

    The side named ``keeps`` keeps its memory meanwhile, as in a run; the plain loop has the system's own way.
    """
    from gansmith.devices import kept_memory

    seconds: dict[str, dict[str, list[float]]] = {side: {part: [] for part in SHARE} for side in sides}
    for _ in range(rounds):
        for part in SHARE:
            for side, parts in sides.items():
                with kept_memory(torch.device("cpu")) if side == keeps else contextlib.nullcontext():
                    parts[part]()
                    start = clock()
                    parts[part]()
                    seconds[side][part].append(clock() - start)
    return {side: {part: statistics.median(times) for part, times in parts.items()} for side, parts in seconds.items()}


def peak_memory(side: str, options: list[str]) -> float:
    """Peak memory in MB of a process that does every part of one side twice."""
    command = [sys.executable, __file__, *options, "--only", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--cpu-time", action="store_true", help="with --threads 1: time of this process, on a busy machine"
    )
    parser.add_argument("--strided", action="store_true", help="give the plain loop transposed convolutions")
    parser.add_argument("--only", choices=("plain", "gansmith"), help="run one side and print its peak memory in MB")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    makers: dict[str, Callable[[], Parts]] = {
        "plain": lambda: plain_step(args.size, args.batch, width=args.width, strided=args.strided),
        "gansmith": lambda: our_step(args.size, args.batch, width=args.width),
    }
    if args.only:
        parts = makers[args.only]()
        for _ in range(2):
            for part in SHARE:
                parts[part]()
        # ru_maxrss of a child starts at its parent's; the kernel's own high-water mark does not
        status = Path("/proc/self/status").read_text(encoding="ascii")
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        return
    options = [f"--{name}={getattr(args, name)}" for name in ("size", "batch", "width", "threads")]
    options += ["--strided"] if args.strided else []
    times = measure(
        {side: make() for side, make in makers.items()},
        args.rounds,
        time.process_time if args.cpu_time else time.perf_counter,
        keeps="gansmith",
    )
    rates = {}
    for side, parts in times.items():
        step = sum(SHARE[part] * value for part, value in parts.items())
        rates[side] = args.batch / step
        detail = ", ".join(f"{part} {value:.2f} s" for part, value in parts.items())
        print(f"{side:9s} {rates[side]:7.2f} images/s  ({detail})  peak {peak_memory(side, options):.0f} MB")
    ratio = rates["gansmith"] / rates["plain"]
    print(f"{args.size} px, batch {args.batch}, {args.threads} threads: {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()

"""DCGAN and WGAN-GP as plain fp32 loops, written after the papers: the yardsticks for the families of those names.

Each function returns one training step on random pictures, as one writes it first: passes one after the other, the
generator run for each player, Adam as it comes, pictures in torch's usual memory layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[[], float]


def widths(size: int, width: int) -> list[int]:
    """Channels from the picture inwards, to 4 px: 64, 128, 256, 512, ..."""
    return [width * min(2**k, 8) for k in range(int(math.log2(size)) - 2)]


def generator(size: int, channels: int, latent: int, width: int) -> nn.Sequential:
    """DCGAN's, section 3 and figure 1."""
    sizes = widths(size, width)[::-1]
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(latent, sizes[0], 4, bias=False),
        nn.BatchNorm2d(sizes[0]),
        nn.ReLU(True),
    ]
    for before, after in pairwise(sizes):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(sizes[-1], channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(size: int, channels: int, width: int, norm: bool) -> nn.Sequential:
    """The mirror image; without norm for a critic with a gradient penalty."""
    sizes = widths(size, width)
    layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise(sizes):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(after)] if norm else []
        layers += [nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 4, bias=False), nn.Flatten())


def batches(size: int, channels: int, batch: int) -> Callable[[], Tensor]:
    """Random pictures, gathered from bytes and scaled, as a loop over a dataset in memory does."""
    pixels = torch.randint(256, (4 * batch, channels, size, size), dtype=torch.uint8)
    return lambda: pixels[torch.randint(len(pixels), (batch,))].float() / 127.5 - 1


def dcgan(size: int = 32, batch: int = 64, channels: int = 3, width: int = 64) -> tuple[Step, int]:
    """Radford et al. 2015 (arXiv:1511.06434): one step, and how many weights there are."""
    g, d = generator(size, channels, 100, width), discriminator(size, channels, width, True)
    real = batches(size, channels, batch)
    optimizer_g, optimizer_d = (torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def step() -> float:
        optimizer_d.zero_grad()
        loss_real = F.binary_cross_entropy_with_logits(d(real()), ones)
        loss_real.backward()
        fake = g(torch.randn(batch, 100, 1, 1))
        loss_fake = F.binary_cross_entropy_with_logits(d(fake.detach()), zeros)
        loss_fake.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss = F.binary_cross_entropy_with_logits(d(fake), ones)
        loss.backward()
        optimizer_g.step()
        return loss.item() + loss_real.item() + loss_fake.item()

    return step, count(g, d)


def wgan_gp(size: int = 32, batch: int = 64, channels: int = 3, width: int = 64) -> tuple[Step, int]:
    """Gulrajani et al. 2017 (arXiv:1704.00028), Algorithm 1: five critic steps and one of the generator."""
    g, d = generator(size, channels, 128, width), discriminator(size, channels, width, False)
    real = batches(size, channels, batch)
    optimizer_g, optimizer_d = (torch.optim.Adam(n.parameters(), 2e-4, (0.0, 0.9)) for n in (g, d))

    def critic() -> None:
        images, fake = real(), g(torch.randn(batch, 128, 1, 1)).detach()
        weight = torch.rand(batch, 1, 1, 1)
        between = (weight * images + (1 - weight) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
        penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        loss = d(fake).mean() - d(images).mean() + 10 * penalty
        optimizer_d.zero_grad()
        loss.backward()
        optimizer_d.step()

    def step() -> float:
        for _ in range(5):
            critic()
        optimizer_g.zero_grad()
        loss = -d(g(torch.randn(batch, 128, 1, 1))).mean()
        loss.backward()
        optimizer_g.step()
        return loss.item()

    return step, count(g, d)


def count(*networks: nn.Module) -> int:
    """Weights of networks."""
    return sum(p.numel() for network in networks for p in network.parameters())

"""CUT: translate between two sets of pictures without pairs, one way, with half of the networks (Park et al. 2020, arXiv:2007.15651).

    L(G, H) = |D(G(a)) - 1|^2 + 1/2 lambda (NCE(a, G(a)) + NCE(b, G(b)))
    L(D)    = 1/2 (|D(b) - 1|^2 + |D(G(a))|^2)
    NCE     = mean over layers l and patches s of -log(exp(z_s z_s' / tau) / sum over s' of exp(z_s z_s' / tau))

z are patches of the translation and z' those of the picture, both as H_l makes them of the generator's own features. A patch
must tell its own patch of the picture from the others: that ties a translation to its picture, where CycleGAN needs a second
generator and discriminator for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from gansmith.config import Bounds, Count, Units
from gansmith.damage import luma
from gansmith.errors import GansmithError
from gansmith.game import Batch, Grid, Logs, Turn
from gansmith.nn.patchgan import SMALLEST, PatchDiscriminator
from gansmith.nn.resnet_generator import ResnetGenerator, UpsampleName
from gansmith.parallel import seeds
from gansmith.translation import Translation, TranslationConfig, other_side, rows_of


@dataclass(frozen=True)
class Config(TranslationConfig):
    """Settings of CUT."""

    preset: Literal["cut", "fastcut"] = "cut"
    """fastcut compares no patches of side B, weighs those of side A ten times as much, and mirrors half of the pictures: about half
    the work and the memory of cut."""
    nce: Annotated[float | None, Bounds(above=0, was=0)] = None
    """Weight lambda of the patches; by default the preset's: 1, or 10 for fastcut."""
    temperature: Annotated[float, Bounds(above=0)] = 0.07
    """tau: how sharply a patch must tell its own from the others."""
    patches: Annotated[int, Bounds(2)] = 256
    """Patches of a picture that are compared in every layer."""
    width_heads: Count = 256
    """Length of the vectors that patches are compared by."""
    blocks: Annotated[int | None, Bounds(1, was=0)] = None
    """Residual blocks of the generator; by default 9 from 256 px on, and 6 below."""
    width: Units = 64
    """Channels of the generator's first layer (ngf)."""
    width_discriminator: Units = 64
    """Channels of the discriminator's first layer (ndf)."""
    antialias: bool = True
    """Blur before the size is halved, in both networks, so that nothing folds over."""
    upsample: UpsampleName = "blur"
    """How the generator doubles the size: blur as in the paper's code, transposed convolutions as in CycleGAN, or resize."""
    skip: bool = False
    """Add a picture's own colours before the generator's last tanh, by a 1x1 convolution that starts as the identity."""


class Heads(nn.Module):
    """H_l: features at some places of every layer -> unit vectors, by an MLP of two layers each.

    Args:
        channels: of every layer's features.
        width: length of the vectors.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width)) for c in channels
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Maps [N, C_l, H_l, W_l] and numbers of pixels [P_l] -> [N, P_l, width] of length 1."""
        made: list[Tensor] = []
        for head, maps, chosen in zip(self.layers, features, places, strict=True):
            patches = maps.flatten(2)[:, :, chosen].transpose(1, 2)
            made.append(normalize(head(patches).float(), dim=2, eps=1e-7))
        return made


def patch_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE among the patches of each picture (Eq. 3 and 4): [N, P, D] twice, of length 1 -> scalar. Keys get no gradient."""
    logits = queries @ keys.detach().transpose(1, 2) / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return cross_entropy(logits.flatten(0, 1), own.flatten())


class CUT(Translation[Config]):
    """A generator, with heads that read its features, against one discriminator."""

    Config = Config
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator", "heads"),
        "discriminator": ("discriminator",),
    }
    exports = ("generator",)
    data = "unpaired"
    tiny: ClassVar[Mapping[str, Any]] = {"width": 8, "width_discriminator": 8, "blocks": 1, "width_heads": 16}
    generator: ResnetGenerator
    discriminator: nn.Module
    heads: Heads

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        smaller = min(spec.height, spec.width)
        if smaller < SMALLEST:
            raise GansmithError(
                f"cut needs pictures of at least {SMALLEST} px, and these are {spec.width}x{spec.height}."
            )
        outputs = spec.other_channels or spec.channels
        blocks = config.blocks or (9 if smaller >= 256 else 6)
        generator = ResnetGenerator(
            spec.channels, outputs, config.width, blocks, upsample=config.upsample, skip=config.skip, antialias=config.antialias
        )  # fmt: skip
        deep = [4 * config.width] * (len(generator.taps) - 3)
        return {
            "generator": generator,
            "heads": Heads([spec.channels, 2 * config.width, 4 * config.width, *deep], config.width_heads),
            "discriminator": PatchDiscriminator(outputs, config.width_discriminator, antialias=config.antialias),
        }

    def turns(self) -> Sequence[Turn]:
        # the generator plays first: its one pass serves both players
        return Turn("generator", self.generator_loss), Turn("discriminator", self.discriminator_loss)

    @property
    def fast(self) -> bool:
        """Is it FastCUT?"""
        return self.config.preset == "fastcut"

    # --- the losses -----------------------------------------------------------------------------------------------

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Least squares against the discriminator, and the patches of both sides; of side A alone for FastCUT."""
        made, keys, mirrored = self._made(batch)
        count = len(batch)
        adversarial = (self.discriminator(made[:count]) - 1).square().mean()
        queries = self.generator.features(self.as_seen(made))
        if mirrored:
            queries = [features.flip(3) for features in queries]
        losses = self._nce(queries, keys)
        weight = self.config.nce or (10.0 if self.fast else 1.0)
        logs = {"adversarial": adversarial.detach(), "nce": losses[0].detach()}
        if not self.fast:
            logs["nce_identity"] = losses[1].detach()
        return adversarial + weight * torch.stack(losses).mean(), logs

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """Half the least squares of side B against 1 and of translations against 0."""
        fake, real = self._made(batch)[0][: len(batch)].detach(), other_side(batch)
        # one pass for both: instance norm looks at each picture by itself
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake.to(real.dtype)])).chunk(2)
        loss = 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())
        return loss, {"real": real_logits.detach().mean(), "fake": fake_logits.detach().mean()}

    def _made(self, batch: Batch) -> tuple[Tensor, list[Tensor], bool]:
        """The step's translations, A's and behind them B's unless FastCUT; the features they are compared with; are they mirrored?"""
        return batch.keep("made", lambda: self._make(batch.images, other_side(batch)))

    def _make(self, a: Tensor, b: Tensor) -> tuple[Tensor, list[Tensor], bool]:
        if not self.fast:
            return *self.generator.with_features(torch.cat([a, self.as_seen(b).to(a.dtype)])), False
        with seeds.alone():  # every process mirrors the same steps
            mirrored = bool(seeds.uniform(1) < 0.5)
        if not mirrored:
            return *self.generator.with_features(a), False
        with torch.no_grad():
            keys = self.generator.features(a)
        return self.generator(a.flip(3)), keys, True

    def _nce(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> list[Tensor]:
        """The loss of each side, a mean over layers."""
        places = [self._places(features) for features in keys]
        with torch.no_grad():
            truths = self.heads([features.detach() for features in keys], places)
        guesses = self.heads(queries, places)
        sides = 1 if self.fast else 2
        layers = [
            [patch_nce(q, k, self.config.temperature) for q, k in zip(guess.chunk(sides), truth.chunk(sides), strict=True)]
            for guess, truth in zip(guesses, truths, strict=True)
        ]  # fmt: skip
        return [torch.stack(losses).mean() for losses in zip(*layers, strict=True)]

    def _places(self, features: Tensor) -> Tensor:
        """Pixels of a map that are compared, the same ones of every picture and in every process: [P]."""
        pixels = features.shape[2] * features.shape[3]
        with seeds.alone():
            return seeds.uniform(pixels, device=features.device).argsort()[: self.config.patches]

    def as_seen(self, images: Tensor) -> Tensor:
        """Pictures of side B in the channels of side A, for the generator to look at."""
        have, want = images.shape[1], self.spec.channels
        if have == want:
            return images
        if want == 1:
            return luma(images)
        colours = images.expand(-1, 3, -1, -1) if have == 1 else images[:, :3]
        return colours if want == 3 else torch.cat([colours, torch.ones_like(colours[:, :1])], 1)

    # --- the model ------------------------------------------------------------------------------------------------

    def translate(self, images: Tensor, *, direction: str = "ab", mask: Tensor | None = None) -> Tensor:
        self.check_direction(direction)
        return self.generator(images)

    def preview(self, real: Batch, seed: int) -> Grid:
        """Rows of A, A translated, and another picture of B; two such rows side by side."""
        a, b = real.images[:16], other_side(real)[:16]
        columns = [a, self.generator(a), b]
        return Grid(rows_of(columns, 16), 6 if len(a) > 1 else 3, "A | A to B | some B, twice")

    def metrics_images(self, real: Batch, seed: int) -> Tensor:
        return self.generator(real.images)

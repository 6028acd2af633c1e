"""StyleGAN3: an alias-free generator, whose details move with what they belong to (Karras et al. 2021, arXiv:2106.12423).

The generator is a chain of layers that are equivariant to translation (T), or to translation and rotation (R): Fourier
features, placed by the style, then modulated convolutions with filtered nonlinearities. The discriminator, the loss and
the lazy R1 are StyleGAN2's; there is no noise, no style mixing and no path length regularisation.

    L_D = E softplus(D(G(z))) + E softplus(-D(x))        + gamma / 2 E |grad D(x)|^2       every 16th step, 16 times
    L_G = E softplus(-D(G(z)))

Sizes may be any h x w that halves evenly down to 4 to 15 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.config import Bounds, Count, Decay, OptionalTerm, Units
from gansmith.errors import GansmithError
from gansmith.game import Batch, ImageSpec, Logs, Turn
from gansmith.generation import GenerationConfig, StyleGeneration, StyleGenerator, judgement_logs, squared_gradient_norm
from gansmith.nn.alias_free import FilteredConv, FilteredToImage, FourierFeatures, Signal
from gansmith.nn.equalized import Dense
from gansmith.nn.resample import blur
from gansmith.nn.styled import Mapping, NoiseMode
from gansmith.nn.styled_discriminator import Discriminator, channels_of, levels

OUTPUT_SCALE = 0.25
"""Of the colours that the last layer makes."""


@dataclass(frozen=True)
class Config(GenerationConfig):
    """Settings of StyleGAN3. Defaults that depend on the variant, the pictures or the batch are the paper's choice."""

    latent_dim: Units = 512
    """Length of the noise vector z ~ N(0, I)."""
    style_dim: Count = 512
    """Length of the style vector w."""
    variant: Literal["t", "r"] = "t"
    """t: details follow translations; r: rotations too, by 1x1 convolutions of twice the channels and radial filters."""
    width: Annotated[float, Bounds(above=0)] = 1.0
    """Multiplies the channels of every layer: 0.0625 or 0.125 make networks for a CPU."""
    layers: Annotated[int | None, Bounds(2, unit="layers", was=-1)] = None
    """Layers between the Fourier features and the colours; by default the paper's 14, 10 below 128 px and 8 below 64 px."""
    critical: Annotated[int, Bounds(1, unit="layers")] = 2
    """How many of the last layers fill their sampling rate to the edge, which keeps the finest details."""
    margin: Annotated[int, Bounds(0, unit="pixels")] = 10
    """Pixels around the picture that every layer but the last two computes too, so that nothing is tied to the border."""
    first_cutoff: Annotated[float, Bounds(above=0)] = 2.0
    """Frequency, in cycles per picture, up to which the first layer's signal is kept; it grows to half the size in pixels."""
    first_stopband: Annotated[float, Bounds(above=0)] = 2**2.1
    """Frequency, in cycles per picture, from which the first layer's signal is gone."""
    last_stopband: Annotated[float, Bounds(above=1)] = 2**0.3
    """The same for the last layer, as a multiple of half the size in pixels."""
    mapping_layers: Annotated[int, Bounds(0, unit="layers")] = 2
    """Layers of the mapping network."""
    channel_base: Annotated[int | None, Bounds(1, was=-1)] = None
    """Channels times resolution in the generator; by default the paper's 32768, and twice that for the variant r. The
    discriminator has half as many in the variant r."""
    channel_max: Annotated[int | None, Bounds(1, was=-1)] = None
    """Most channels of any layer of the generator; by default the paper's 512, and twice that for the variant r. The
    discriminator has half as many in the variant r."""
    clamp: OptionalTerm = 256.0
    """Activations are kept within this, which makes half precision safe; 0 does not clamp."""
    lr: Annotated[float | None, Bounds(0)] = 0.0025
    """Learning rate of the generator."""
    lr_discriminator: Annotated[float | None, Bounds(above=0, was=0)] = 0.002
    """Learning rate of the discriminator."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's mean square."""
    ema_images: Annotated[int | None, Bounds(0, unit="images", off=True, was=-1)] = None
    """Half-life, in images, of the weight average; by default the paper's 312.5 batches, 0 switches it off."""
    magnitude_images: Annotated[int, Bounds(0, unit="images", off=True)] = 20_000
    """Half-life, in images, of the average size of every layer's input, by which it is divided."""
    r1: Annotated[float | None, Bounds(0, off=True, was=-1)] = None
    """Weight gamma of R1; by default the published settings', 0.001 * pixels / batch, and at least 4 for networks narrower than
    half, of which D otherwise wins at once; 0 switches it off."""
    r1_every: Annotated[int, Bounds(1, unit="steps")] = 16
    """Steps between R1 turns (lazy regularisation); the penalty is multiplied by it."""
    blur: Annotated[float | None, Bounds(0, unit="pixels", off=True, was=-1)] = None
    """Blur what D sees at first by this many pixels, so that it cannot judge details before shapes; by default the paper's: for the
    variant r 10 px from 256 px and less in proportion below, for t none."""
    blur_images: Annotated[int | None, Bounds(0, unit="images", off=True, was=-1)] = None
    """The blur fades over so many images; by default the paper's 6250 batches."""


def depth_of(config: Config, spec: ImageSpec) -> int:
    """How many layers lie between the Fourier features and the colours."""
    longer = max(spec.height, spec.width)
    usual = 14 if longer >= 128 else 10 if longer >= 64 else 8
    return usual if config.layers is None else config.layers


def channels_of_generator(config: Config) -> tuple[int, int]:
    """Channels times resolution, and the most channels of any layer."""
    more = 2 if config.variant == "r" else 1
    return config.channel_base or 32768 * more, config.channel_max or 512 * more


def signals_of(config: Config, spec: ImageSpec) -> list[Signal]:
    """The signals that the layers make, first that of the Fourier features, last the colours (section 3.2, Figure 4).

    Cutoffs and stopbands grow geometrically and reach those of the picture at the first of the critically sampled layers.

    Raises:
        GansmithError: the settings leave no room for a signal.
    """
    last, longer = depth_of(config, spec), max(spec.height, spec.width)
    if not 1 <= config.critical < last or config.margin < 0:
        raise GansmithError(
            f"--critical is at least 1 and below --layers, which is {last} here, and --margin is at least 0; "
            f"they are {config.critical} and {config.margin}."
        )
    if not 0 < config.first_cutoff < min(longer / 2, config.first_stopband) or not config.last_stopband > 1:
        raise GansmithError(
            f"--first-cutoff lies between 0 and half the size, {longer / 2:g}, and below --first-stopband; --last-stopband is "
            f"above 1. They are {config.first_cutoff:g}, {config.first_stopband:g} and {config.last_stopband:g}."
        )
    base, most = channels_of_generator(config)
    signals: list[Signal] = []
    for index in range(last + 1):
        share = min(index / (last - config.critical), 1.0)
        cutoff = config.first_cutoff * (longer / 2 / config.first_cutoff) ** share
        stopband = config.first_stopband * (longer / 2 * config.last_stopband / config.first_stopband) ** share
        shrink = 1
        while longer // (2 * shrink) >= 2 * stopband and all(n % (2 * shrink) == 0 for n in (spec.height, spec.width)):
            shrink *= 2
        half_width = max(stopband, longer / shrink / 2) - cutoff
        margin = config.margin if index < last - 1 else 0
        height, width = (n // shrink + 2 * margin for n in (spec.height, spec.width))
        channels = max(round(min(base / 2 / cutoff, most) * config.width), 4)
        signals.append(Signal(longer // shrink, cutoff, half_width, height, width, channels))
    return signals


# --- networks ---------------------------------------------------------------------------------------------------------


class Synthesis(nn.Module):
    """Styles [N, L, style_dim] -> pictures [N, C, H, W]: waves, layer by layer made into a picture."""

    def __init__(self, config: Config, spec: ImageSpec) -> None:
        super().__init__()
        signals, style, rotates = signals_of(config, spec), config.style_dim, config.variant == "r"
        self.input = FourierFeatures(style, signals[0])
        self.layers = nn.ModuleList()
        for index in range(len(signals) - 1):
            before, after = signals[max(index - 1, 0)], signals[index]
            radial = rotates and index < len(signals) - 1 - config.critical
            kernel = 1 if rotates else 3
            self.layers.append(FilteredConv(before, after, style, kernel=kernel, radial=radial, clamp=config.clamp))
        self.to_image = FilteredToImage(signals[-2], spec.channels, style, config.clamp)
        self.styles = len(self.layers) + 2
        """How many styles L a picture takes: one to place the waves, one per convolution, one for the colours."""

    def affines(self) -> list[Dense]:
        """The maps from w to what it sets, one per style."""
        return [self.input.affine, *(layer.affine for layer in self.layers), self.to_image.affine]  # type: ignore[misc]

    def forward(
        self,
        styles: Tensor,
        noise: NoiseMode = "const",
        transform: Tensor | None = None,
        decay: float | None = None,
    ) -> Tensor:
        """
        Args:
            noise: there is none; taken because StyleGAN2's has some.
            transform: [2, 3], where the picture's places are looked up; see :class:`gansmith.nn.alias_free.FourierFeatures`.
            decay: move the average sizes of every layer's input by this batch; None leaves them.
        """
        w = styles.unbind(1)
        x = self.input(w[0], transform)
        for layer, style in zip(self.layers, w[1:], strict=False):
            x = layer(x, style, decay)
        return self.to_image(x, w[-1], decay).float() * OUTPUT_SCALE


class Generator(StyleGenerator):
    """z [N, latent_dim], labels -> pictures [N, C, H, W], about [-1, 1]."""

    def __init__(self, config: Config, spec: ImageSpec, classes: int) -> None:
        mapping = Mapping(config.latent_dim, classes, config.style_dim, config.mapping_layers)
        super().__init__(mapping, Synthesis(config, spec))

    def forward(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        return self.synthesis(self.styles(z, labels, truncation))


# --- the game ---------------------------------------------------------------------------------------------------------


class StyleGAN3(StyleGeneration[Config]):
    """Three turns: each player's loss at every step, and lazily R1."""

    Config = Config
    tiny = {"latent_dim": 8, "style_dim": 8, "width": 1 / 128, "layers": 4, "margin": 2}

    def networks(self) -> dict[str, nn.Module]:
        config, spec = self.config, self.spec
        if config.spectral_norm:
            raise GansmithError("stylegan3 keeps its discriminator smooth by R1 (--r1), so leave out --spectral-norm.")
        sizes = levels(spec.height, spec.width, "stylegan3")
        more = 2 if config.variant == "r" else 1
        base, most = (max(n // more, 1) for n in channels_of_generator(config))
        channels = channels_of(base, most, config.width, sizes)
        return {
            "generator": Generator(config, spec, self.classes),
            "discriminator": Discriminator(spec.channels * config.pack, sizes, channels, self.classes, config.clamp),
        }

    def turns(self) -> tuple[Turn, ...]:
        turns = [Turn("discriminator", self.discriminator_loss, after=self.adapt_augment)]
        if self.config.r1 != 0:
            turns.append(Turn("discriminator", self.r1_penalty, every=self.config.r1_every))
        return (*turns, Turn("generator", self.generator_loss))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_D without its penalty."""
        labels = self.labels_of(batch)
        images, fakes = (self.blurred(x, batch) for x in (batch.images, self.fakes(batch).detach()))
        fake, real = self.judge(fakes, labels), self.judge(images, labels)
        return F.softplus(fake).mean() + F.softplus(-real).mean(), judgement_logs(real, fake)

    def r1_penalty(self, batch: Batch) -> tuple[Tensor, Logs]:
        """R1, through the blur and the augmentation."""
        real = batch.images.detach().requires_grad_()
        r1 = squared_gradient_norm(self.judge(self.blurred(real, batch), self.labels_of(batch)), real).mean()
        gamma = self.config.r1
        if gamma is None:
            usual = 0.001 * self.spec.height * self.spec.width / batch.world_size
            gamma = max(usual, 4.0) if self.config.width < 0.5 else usual
        return 0.5 * gamma * self.config.r1_every * r1, {"r1": r1.detach()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Logs]:
        """L_G."""
        return F.softplus(-self.judge(self.blurred(self.fakes(batch), batch), self.labels_of(batch))).mean(), {}

    def blurred(self, images: Tensor, batch: Batch) -> Tensor:
        """Pictures as D sees them before they are augmented (appendix G.1: "Gaussian blur at the beginning")."""
        config, longer = self.config, max(self.spec.height, self.spec.width)
        paper = 10.0 * min(longer / 256, 1.0) if config.variant == "r" else 0.0
        sigma = paper if config.blur is None else config.blur
        fades = 6250 * batch.world_size if config.blur_images is None else config.blur_images
        left = 1 - batch.clock.images / fades if fades else 0.0
        return blur(images, sigma * left) if sigma * left > 0 else images

    def generate(self, batch: Batch) -> Tensor:
        generator = self.styled
        w = generator.mapping(self.latents(len(batch)), self.labels_of(batch))
        generator.mapping.track(w, 0.998)
        styles = w[:, None].expand(-1, self.layers, -1)
        decay = 0.5 ** (batch.world_size / self.config.magnitude_images) if self.config.magnitude_images else None
        return generator.synthesis(styles, decay=decay)

    def lazy_every(self, player: str) -> int:
        return self.config.r1_every if player == "discriminator" and self.config.r1 != 0 else 0

    @property
    def usual_lr(self) -> float:
        return 0.0025

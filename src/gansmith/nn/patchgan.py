"""PatchGAN: a discriminator that judges every patch of a picture by itself (Isola et al. 2016, arXiv:1611.07004)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gansmith.nn.antialias import BlurHalf
from gansmith.nn.norms import NormName, init_normal, make_norm

SMALLEST = 24
"""Pictures of this many pixels still give a logit after three halvings."""


class PatchDiscriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1, H', W'], each of a 70x70 patch with three ``layers``. Layers are named ``model.N.*``.

    Args:
        inputs: channels, of the condition too where there is one.
        width: channels of the first layer; they double up to eight times this.
        layers: stride-2 convolutions.
        norm: after every layer but the first and the last.
        spectral: spectral normalisation of every convolution (arXiv:1802.05957).
        antialias: halve by a convolution of stride 1 and a blur, as CUT does.
    """

    def __init__(
        self,
        inputs: int,
        width: int = 64,
        layers: int = 3,
        norm: NormName = "instance",
        spectral: bool = False,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        stride, blur = (1, [BlurHalf()]) if antialias else (2, [])
        built: list[nn.Module] = [nn.Conv2d(inputs, width, 4, stride, 1), nn.LeakyReLU(0.2), *blur]
        channels = width
        for layer in range(1, layers + 1):
            after, last = width * min(2**layer, 8), layer == layers
            built += [nn.Conv2d(channels, after, 4, 1 if last else stride, 1, bias=norm != "batch")]
            built += [make_norm(norm, after)] if norm != "none" else []
            built += [nn.LeakyReLU(0.2), *([] if last else blur)]
            channels = after
        built += [nn.Conv2d(channels, 1, 4, 1, 1)]
        self.model = nn.Sequential(*built)
        self.apply(init_normal)
        if spectral:
            for module in self.model:
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)

    def features(self, images: Tensor) -> list[Tensor]:
        """What every activation gives, and the logits last."""
        found = []
        for layer in self.model:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                found.append(images)
        return [*found, images]

"""The U-Net discriminator of Real-ESRGAN, which judges every pixel (Wang et al. 2021, arXiv:2107.10833, section 3.5).

Layers are named as in the weights people have: ``conv0`` to ``conv9``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu
from torch.nn.utils.parametrizations import spectral_norm


class UNetDiscriminator(nn.Module):
    """[N, C, H, W] -> logits [N, 1, H, W], one for every pixel; H and W are at least 8.

    Three halvings, then three doublings that add the halvings' activations. Every convolution but the first and the
    last has spectral normalisation and no bias.

    Args:
        channels: of the pictures.
        width: channels of the first layer; they double three times.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False))

        self.conv0 = nn.Conv2d(channels, width, 3, 1, 1)
        self.conv1 = conv(width, width * 2, 4, 2)
        self.conv2 = conv(width * 2, width * 4, 4, 2)
        self.conv3 = conv(width * 4, width * 8, 4, 2)
        self.conv4 = conv(width * 8, width * 4)
        self.conv5 = conv(width * 4, width * 2)
        self.conv6 = conv(width * 2, width)
        self.conv7 = conv(width, width)
        self.conv8 = conv(width, width)
        self.conv9 = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)[-1]

    def features(self, images: Tensor) -> list[Tensor]:
        """What every activation gives, and the logits last."""
        found = [leaky_relu(self.conv0(images), 0.2)]
        for conv in (self.conv1, self.conv2, self.conv3):
            found.append(leaky_relu(conv(found[-1]), 0.2))
        for conv, skip in zip((self.conv4, self.conv5, self.conv6), (found[2], found[1], found[0]), strict=True):
            # of the skip's size, which is twice this one's where the picture's sides are multiples of 8
            larger = interpolate(found[-1], size=skip.shape[2:], mode="bilinear", align_corners=False)
            found.append(leaky_relu(conv(larger), 0.2) + skip)
        for conv in (self.conv7, self.conv8):
            found.append(leaky_relu(conv(found[-1]), 0.2))
        return [*found, self.conv9(found[-1])]

"""Equalised layers: weights drawn from N(0, 1), scaled at run time by 1 / sqrt(fan-in).

Every weight then has the same dynamic range, and Adam the same effective learning rate (Karras et al. 2018,
arXiv:1710.10196, section 4.1). This is StyleGAN2's form of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith.nn.resample import downsample, upfirdn

ROOT2 = math.sqrt(2.0)


def activate(x: Tensor, clamp: float = 0.0) -> Tensor:
    """Leaky ReLU .2 and a clamp (0: none), of any shape.

    A leaky ReLU of k x is k times that of x for positive k. So the gain that keeps the variance, :data:`ROOT2`, is on the
    few weights and biases before it instead of on the many activations behind.
    """
    x = F.leaky_relu(x, 0.2)
    # The backward pass of hardtanh is one kernel; that of clamp is four. In place, because a leaky ReLU keeps its input alone.
    return F.hardtanh_(x, -clamp, clamp) if clamp else x


def normalize(x: Tensor) -> Tensor:
    """Each row to unit second moment: [N, D]."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Dense(nn.Module):
    """Linear layer [N, inputs] -> [N, outputs].

    Args:
        bias: its initial value.
        lr: multiplies the layer's learning rate; its weights are stored divided by this.
        active: leaky ReLU after it.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, lr: float = 1.0, active: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.gain, self.lr, self.active = lr / math.sqrt(inputs), lr, active

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return F.linear(x, self.weight * self.gain, self.bias * self.lr)
        return activate(F.linear(x, self.weight * (ROOT2 * self.gain), self.bias * (ROOT2 * self.lr)))


class Conv(nn.Module):
    """Convolution [N, inputs, H, W] -> [N, outputs, H, W] of odd kernel size.

    Args:
        down: halve the size: filter, then stride 2.
        active: bias and leaky ReLU after it; False has neither.
        clamp: activations are kept within this; 0 does not clamp.
        gain: multiplies the output (and the clamp).

    Attributes:
        convolve: ``conv2d``, or a function of the same arithmetic that is faster on a CPU (:mod:`gansmith.nn.cpu`).
    """

    convolve: Callable[..., Tensor] = staticmethod(F.conv2d)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        down: bool = False,
        active: bool = True,
        clamp: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if active else None
        self.pad, self.down, self.clamp, self.gain = kernel // 2, down, clamp * gain, gain
        self.scale = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        gain = self.gain if self.bias is None else ROOT2 * self.gain
        weight, bias = self.weight * (self.scale * gain), None if self.bias is None else self.bias * gain
        if not self.down:
            x = self.convolve(x, weight, bias, padding=self.pad)
        elif self.pad == 0:  # filtering at the lower resolution comes to the same
            x = F.conv2d(downsample(x), weight, bias)
        else:
            p = self.pad + 1
            x = F.conv2d(upfirdn(x, padding=(p, p, p, p)), weight, bias, stride=2)
        return x if bias is None else activate(x, self.clamp)

"""A state in the names of rosinality's StyleGAN2."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from helpers import reference_stylegan2 as ref


def rosinality_state(generator: ref.Generator, discriminator: ref.Discriminator) -> dict[str, Any]:
    """The same networks under rosinality's names and shapes."""
    g = {
        f"style.{i + 1}.{p}": getattr(getattr(generator.mapping, f"fc{i}"), p)
        for i in range(3)
        for p in ("weight", "bias")
    }
    kernel = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64

    def layer(name: str, theirs: ref.SynthesisLayer, index: int) -> None:
        g[f"{name}.conv.weight"] = theirs.weight[None]
        g[f"{name}.conv.modulation.weight"], g[f"{name}.conv.modulation.bias"] = (
            theirs.affine.weight,
            theirs.affine.bias,
        )
        g[f"{name}.noise.weight"] = theirs.noise_strength.reshape(1)
        g[f"{name}.activate.bias"] = theirs.bias
        g[f"noises.noise_{index}"] = theirs.noise_const[None, None]
        if theirs.up == 2:
            g[f"{name}.conv.blur.kernel"] = kernel * 4

    def colours(name: str, theirs: ref.ToRGBLayer) -> None:
        g[f"{name}.conv.weight"], g[f"{name}.bias"] = theirs.weight[None], theirs.bias.reshape(1, -1, 1, 1)
        g[f"{name}.conv.modulation.weight"], g[f"{name}.conv.modulation.bias"] = (
            theirs.affine.weight,
            theirs.affine.bias,
        )

    g["input.input"] = generator.synthesis.b4.const[None]
    layer("conv1", generator.synthesis.b4.conv1, 0)
    colours("to_rgb1", generator.synthesis.b4.torgb)
    for i, size in enumerate((8, 16, 32)):
        block = getattr(generator.synthesis, f"b{size}")
        layer(f"convs.{2 * i}", block.conv0, 2 * i + 1)
        layer(f"convs.{2 * i + 1}", block.conv1, 2 * i + 2)
        colours(f"to_rgbs.{i}", block.torgb)
        g[f"to_rgbs.{i}.upsample.kernel"] = kernel * 4
    d = {"convs.0.0.weight": discriminator.b32.fromrgb.weight, "convs.0.1.bias": discriminator.b32.fromrgb.bias}
    for i, size in enumerate((32, 16, 8)):
        block = getattr(discriminator, f"b{size}")
        d[f"convs.{i + 1}.conv1.0.weight"], d[f"convs.{i + 1}.conv1.1.bias"] = block.conv0.weight, block.conv0.bias
        d[f"convs.{i + 1}.conv2.0.kernel"] = kernel
        d[f"convs.{i + 1}.conv2.1.weight"], d[f"convs.{i + 1}.conv2.2.bias"] = block.conv1.weight, block.conv1.bias
        d[f"convs.{i + 1}.skip.0.kernel"] = kernel
        d[f"convs.{i + 1}.skip.1.weight"] = block.skip.weight
    d["final_conv.0.weight"], d["final_conv.1.bias"] = discriminator.b4.conv.weight, discriminator.b4.conv.bias
    for i, dense in enumerate((discriminator.b4.fc, discriminator.b4.out)):
        d[f"final_linear.{i}.weight"], d[f"final_linear.{i}.bias"] = dense.weight, dense.bias
    state = {"g_ema": g, "d": d, "latent_avg": generator.mapping.w_avg, "args": argparse.Namespace(size=32)}
    return {k: {n: t.detach() for n, t in v.items()} if isinstance(v, dict) else v for k, v in state.items()}

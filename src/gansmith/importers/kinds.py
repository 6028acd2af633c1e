"""What a network is, told from the names and shapes of its tensors, whatever its file is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Shapes = Mapping[str, tuple[int, ...]]

RRDB, RESNET, UNET, STYLEGAN2 = "an RRDBNet", "a residual generator", "a U-Net generator", "a StyleGAN2 of rosinality"
COMPACT = "a compact SRVGG"
LOCAL, LAMA, MIGAN = "a local enhancer of pix2pixHD", "LaMa", "MI-GAN"
"""Generators that are read."""


def generator(shapes: Shapes) -> str:
    """Which of the generators that are read these tensors are; empty where they are none of them, or a network of :func:`other`."""
    names = shapes.keys()
    if like(r"conv_first\.|model\.1\.sub\.", _RRDB)(shapes):
        return RRDB
    if {"model.model.0.weight", "model.model.3.weight"} <= names and like(r"model\.model\.1\.model\.")(shapes):
        return UNET
    if "model1_1.1.weight" in names and like(r"model\.\d+\.conv_block\.")(shapes):
        return LOCAL
    if "model.1.weight" in names and like(r"model\.\d+\.conv_block\.")(shapes):
        return RESNET
    if "model.1.ffc.convl2l.weight" in names:
        return LAMA
    if {"synthesis.b4.conv1.conv1.weight", "synthesis.b4.torgb.weight"} <= names and like(r"encoder\.b\d+\.fromrgb\.")(
        shapes
    ):
        return MIGAN
    if "body.0.weight" in names and all(_COMPACT.fullmatch(name) for name in names):
        return COMPACT
    return STYLEGAN2 if {"style.1.weight", "input.input", "to_rgb1.conv.weight"} <= names else ""


_RRDB = r"(body\.\d+\.rdb1|RRDB_trunk\.\d+\.RDB1|model\.1\.sub\.\d+\.RDB1)\."

_COMPACT = re.compile(r"body\.\d{1,4}\.(weight|bias)")


def is_unet_discriminator(shapes: Shapes) -> bool:
    """Are these the tensors of Real-ESRGAN's U-Net discriminator?"""
    return {"conv0.weight", "conv8.weight_orig", "conv9.weight"} <= shapes.keys()


def has(*names: str) -> Callable[[Shapes], bool]:
    """Are all these among the tensors?"""
    return lambda shapes: set(names) <= shapes.keys()


def like(*patterns: str) -> Callable[[Shapes], bool]:
    """Does a name begin as each of these patterns says?"""
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda shapes: all(any(pattern.match(name) for name in shapes) for pattern in compiled)


def first_block(shapes: Shapes) -> int:
    """The number of the first residual block of a generator of CycleGAN's kind: 10 where it halves the size twice; 0 without one."""
    return min((int(m[1]) for name in shapes if (m := re.match(r"model\.(\d{1,4})\.conv_block\.", name))), default=0)


_TRANSFORMER = "RRDBNets of ESRGAN and Real-ESRGAN are the upscalers that are read: RealESRGAN_x4plus.pth, for example, does the same task."
_FACES = "No family here repairs faces. For upscaling, give an RRDBNet of Real-ESRGAN; for faces of your own, train inpaint or upscale."
_GENERATORS = "Give the generator's file, such as latest_net_G.pth, g_ema or params_ema."

_OTHERS: tuple[tuple[Callable[[Shapes], bool], str, str], ...] = (
    (like(r"model\.\d+\.filt$", r"model\.0\.weight"), "a discriminator of CUT or FastCUT, which blurs where it halves the size",
     "Give the generator's file, such as latest_net_G.pth."),
    (has("mlp_0.0.weight", "mlp_0.2.weight"), "the heads that CUT compares patches with, which are for training only",
     "Give the generator's file, such as latest_net_G.pth."),
    (like(r"model\.1\.ffc\.", r".*\.(lfu|gate|ffc\.gate)\."), "LaMa with local Fourier units or gates, which the published weights have not",
     "LaMa and Big LaMa as released are read."),
    (like(r"(synthesis|encoder)\.b\d+\.conv1\.conv1\.w\d+$"), "MI-GAN as it is trained, every layer in several parts",
     "The project's scripts/export_inference_model.py writes the weights for inference, which are read."),
    (like(r"stylegan_decoder\."), "GFPGAN, which repairs faces", _FACES),
    (has("position_emb"), "CodeFormer, which repairs faces", _FACES),
    (like(r"encoder\.", r"decoder\.style\.1\.weight"), "pSp or e4e: an encoder of faces with the StyleGAN2 that it belongs to",
     "Its StyleGAN2 is read with --key decoder; its encoder is not. To find a picture's styles, use: gansmith invert."),
    (like(r"layers\.\d+\.residual_group\.blocks\.\d+\."), "an upscaler made of transformers (SwinIR, HAT or the like)", _TRANSFORMER),
    (like(r"body\.\d+\.conv1x1|.*RDB\d\.conv1x1"), "an RRDBNet of ESRGAN+, which has another residual block",
     "RRDBNets of ESRGAN and Real-ESRGAN are read."),
    (has("conv_first.weight", "body.0.conv1.weight"), "an SRResNet, whose blocks are plain ones: it has no RRDB blocks",
     "RRDBNets of ESRGAN and Real-ESRGAN are read."),
    (is_unet_discriminator, "the discriminator of Real-ESRGAN",
     "Give the generator's file; the discriminator is read with it where it lies beside it under the same name and _netD."),
    (has("convs.0.0.weight", "final_linear.0.weight"), "the discriminator of a StyleGAN2", _GENERATORS),
    (lambda shapes: {"model.0.weight", "model.11.weight"} <= shapes.keys() and shapes["model.0.weight"][-1:] == (4,),
     "a discriminator of CycleGAN or pix2pix", _GENERATORS),
    (like(r"model\.diffusion_model\.|down_blocks\.\d+\.resnets\.|unet\.down_blocks\."), "a diffusion model, which is no GAN", _GENERATORS),
    (like(r".*lora_(up|down|A|B)\.|.*\.lora_"), "a LoRA: changes to a diffusion model, and no network by itself", _GENERATORS),
    (has("features.0.weight", "classifier.6.weight"), "a VGG, which tells pictures apart and makes none", _GENERATORS),
    (has("layer1.0.conv1.weight", "fc.weight"), "a ResNet, which tells pictures apart and makes none", _GENERATORS),
    (like(r"Mixed_5b\."), "an Inception network, which tells pictures apart and makes none",
     "To measure with it, give it to: gansmith evaluate --weights."),
)  # fmt: skip
"""Networks that people give and that are not read: a test, what they are, and what can be done."""


def other(shapes: Shapes) -> tuple[str, str] | None:
    """What a network is that is not read, and what can be done instead; None where it is not known either."""
    return next(((what, advice) for test, what, advice in _OTHERS if test(shapes)), None)

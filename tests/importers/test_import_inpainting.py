"""LaMa's and MI-GAN's weights: the pictures of the original networks, from every kind of file that people have."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith import cli
from gansmith.errors import ModelError
from gansmith.importers import import_file
from gansmith.models import bundle

State = dict[str, Tensor]


class LaMa:
    """LaMa's generator straight from its tensors, as its paper's section 3 and its code describe it: values from 0 to 1."""

    def __init__(self, state: State, blocks: int) -> None:
        self.state, self.first = state, 5
        self.blocks = range(self.first, self.first + blocks)

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        pad = weight.shape[2] // 2 if weight.shape[2] == 3 else 0
        return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weight, self.state.get(f"{name}.bias"), stride)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def fourier(self, name: str, x: Tensor) -> Tensor:
        x = F.relu(self.norm(f"{name}.conv1.1", self.conv(f"{name}.conv1.0", x)))
        spectrum = torch.fft.rfftn(x, dim=(2, 3), norm="ortho")
        parts = torch.stack([spectrum.real, spectrum.imag], 2).flatten(1, 2)  # real and imaginary parts in turn
        parts = F.relu(self.norm(f"{name}.fu.bn", self.conv(f"{name}.fu.conv_layer", parts)))
        made = torch.fft.irfftn(torch.complex(parts[:, 0::2], parts[:, 1::2]), s=x.shape[2:], dim=(2, 3), norm="ortho")
        return self.conv(f"{name}.conv2", x + made)

    def layer(self, name: str, local: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        near = self.conv(f"{name}.ffc.convl2l", local) + self.conv(f"{name}.ffc.convg2l", far)
        wide = self.conv(f"{name}.ffc.convl2g", local) + self.fourier(f"{name}.ffc.convg2g", far)
        return F.relu(self.norm(f"{name}.bn_l", near)), F.relu(self.norm(f"{name}.bn_g", wide))

    def __call__(self, picture: Tensor, mask: Tensor) -> Tensor:
        x = F.pad(torch.cat([picture * (1 - mask), mask], 1), (3,) * 4, mode="reflect")
        x = F.relu(self.norm("model.1.bn_l", self.conv("model.1.ffc.convl2l", x)))
        for number in (2, 3):
            x = F.relu(self.norm(f"model.{number}.bn_l", self.conv(f"model.{number}.ffc.convl2l", x, 2)))
        local = F.relu(self.norm("model.4.bn_l", self.conv("model.4.ffc.convl2l", x, 2)))
        far = F.relu(self.norm("model.4.bn_g", self.conv("model.4.ffc.convl2g", x, 2)))
        for block in self.blocks:
            near, wide = self.layer(f"model.{block}.conv2", *self.layer(f"model.{block}.conv1", local, far))
            local, far = local + near, far + wide
        x = torch.cat([local, far], 1)
        up = self.blocks[-1] + 2
        for number in (up, up + 3, up + 6):
            weight, bias = self.state[f"model.{number}.weight"], self.state[f"model.{number}.bias"]
            x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
            x = F.relu(self.norm(f"model.{number + 1}", x))
        return torch.sigmoid(self.conv(f"model.{up + 10}", F.pad(x, (3,) * 4, mode="reflect")))


def lama_state(width: int = 4, blocks: int = 2) -> State:
    """Random weights under LaMa's names."""
    random = torch.Generator().manual_seed(0)
    state: State = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int, bias: bool = False) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=random) / (
            inputs**0.5 * kernel
        )
        if bias:
            state[f"{name}.bias"] = torch.randn(outputs, generator=random) * 0.1

    def norm(name: str, channels: int) -> None:
        for part, least in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            state[f"{name}.{part}"] = torch.rand(channels, generator=random) + least
        state[f"{name}.num_batches_tracked"] = torch.tensor(5)

    conv("model.1.ffc.convl2l", width, 4, 7)
    norm("model.1.bn_l", width)
    for number, channels in ((2, width), (3, 2 * width)):
        conv(f"model.{number}.ffc.convl2l", 2 * channels, channels, 3)
        norm(f"model.{number}.bn_l", 2 * channels)
    near, far = 2 * width, 6 * width
    for name, channels in (("l", near), ("g", far)):
        conv(f"model.4.ffc.convl2{name}", channels, 4 * width, 3)
        norm(f"model.4.bn_{name}", channels)
    for block in range(5, 5 + blocks):
        for layer in (f"model.{block}.conv1", f"model.{block}.conv2"):
            conv(f"{layer}.ffc.convl2l", near, near, 3)
            conv(f"{layer}.ffc.convl2g", far, near, 3)
            conv(f"{layer}.ffc.convg2l", near, far, 3)
            conv(f"{layer}.ffc.convg2g.conv1.0", far // 2, far, 1)
            norm(f"{layer}.ffc.convg2g.conv1.1", far // 2)
            conv(f"{layer}.ffc.convg2g.fu.conv_layer", far, far, 1)
            norm(f"{layer}.ffc.convg2g.fu.bn", far)
            conv(f"{layer}.ffc.convg2g.conv2", far, far // 2, 1)
            norm(f"{layer}.bn_l", near)
            norm(f"{layer}.bn_g", far)
    for number, channels in enumerate((8 * width, 4 * width, 2 * width)):
        layer = 6 + blocks + 3 * number
        conv(f"model.{layer}", channels, channels // 2, 3)  # a transposed convolution's weight has its inputs first
        state[f"model.{layer}.bias"] = torch.zeros(channels // 2)
        norm(f"model.{layer + 1}", channels // 2)
    conv(f"model.{6 + blocks + 10}", 3, width, 7, bias=True)
    return state


def migan(state: State, size: int, picture: Tensor, mask: Tensor) -> Tensor:
    """MI-GAN's generator straight from its tensors, resizing as its code for inference does."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    blur = torch.outer(line, line)[None, None]

    def activation(x: Tensor) -> Tensor:
        return (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-256, 256)

    def half(x: Tensor) -> Tensor:
        return F.conv2d(x, blur.expand(x.shape[1], 1, 4, 4), stride=2, padding=1, groups=x.shape[1])

    def double(x: Tensor) -> Tensor:
        spread = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        spread[:, :, ::2, ::2] = x
        return F.conv2d(F.pad(spread, (2, 1, 2, 1)), 4 * blur.expand(x.shape[1], 1, 4, 4), groups=x.shape[1])

    def layer(name: str, x: Tensor, resize: Any = None, up: bool = False) -> Tensor:
        weight = state[f"{name}.conv1.weight"]
        x = activation(F.conv2d(x, weight, state[f"{name}.conv1.bias"], padding=1, groups=len(weight)))
        x = resize(x) if resize is not None and not up else x
        x = F.conv2d(x, state[f"{name}.conv2.weight"])
        x = resize(x) if resize is not None and up else x
        if f"{name}.noise_const" in state:
            x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
        return activation(x)

    def colour(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])

    known = 1 - mask
    x = activation(colour(f"encoder.b{size}.fromrgb", torch.cat([known - 0.5, picture * known], 1)))
    seen, side = {}, size
    while side >= 4:
        seen[side] = layer(f"encoder.b{side}.conv1", x)
        x = layer(f"encoder.b{side}.conv2", seen[side], half if side > 4 else None)
        side //= 2
    made: Tensor | None = None
    for side in sorted(seen):
        x = layer(f"synthesis.b{side}.conv1", x, double if side > 4 else None, up=True) + seen[side]
        x = layer(f"synthesis.b{side}.conv2", x)
        own = colour(f"synthesis.b{side}.torgb", x)
        made = own if made is None else double(made) + own
    assert made is not None
    return made


def migan_state(size: int = 32, width: int = 4) -> State:
    """Random weights under MI-GAN's names, with the constants that its files have beside them."""
    random = torch.Generator().manual_seed(0)
    state: State = {}

    def draw(*shape: int, gain: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=random) * gain

    def layer(name: str, inputs: int, outputs: int, noise: int = 0) -> None:
        state[f"{name}.conv1.weight"] = draw(inputs, 1, 3, 3, gain=0.4)
        state[f"{name}.conv1.bias"] = draw(inputs, gain=0.1)
        state[f"{name}.conv2.weight"] = draw(outputs, inputs, 1, 1, gain=inputs**-0.5)
        if noise:
            state[f"{name}.noise_const"], state[f"{name}.noise_strength"] = draw(noise, noise), draw(1, gain=0.3)[0]

    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    blur, side = torch.outer(line, line)[None, None], size
    while side >= 4:
        c, below = width * size // side, width * size // max(side // 2, 4)
        layer(f"encoder.b{side}.conv1", c, c)
        layer(f"encoder.b{side}.conv2", c, below)
        layer(f"synthesis.b{side}.conv1", below, c, side if side > 4 else 0)
        layer(f"synthesis.b{side}.conv2", c, c, side if side > 4 else 0)
        state[f"synthesis.b{side}.torgb.weight"] = draw(3, c, 1, 1, gain=0.02)
        state[f"synthesis.b{side}.torgb.bias"] = draw(3, gain=0.1)
        if side > 4:
            state[f"encoder.b{side}.conv2.downsample.filter.weight"] = blur.repeat(c, 1, 1, 1)
            state[f"synthesis.b{side}.conv1.upsample.filter.weight"] = 4 * blur.repeat(c, 1, 1, 1)
            state[f"synthesis.b{side}.conv1.upsample.filter_const"] = torch.zeros(1, 1, side, side)
        side //= 2
    state[f"encoder.b{size}.fromrgb.weight"], state[f"encoder.b{size}.fromrgb.bias"] = draw(width, 4, 1, 1), draw(width)
    return state


def hole(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture [1, 3, H, W] in [0, 1] and a mask."""
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, height // 4 : height // 2, width // 3 : width // 2] = 1
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)), mask


def loaded(path: Path) -> Any:
    found = import_file(path)
    assert found.family == "inpaint"
    return bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, str(path)).game


class Module(nn.Module):
    """A module with the tensors of a state dict under their names, as a program that was recorded has them."""

    def __init__(self, state: State) -> None:
        super().__init__()
        for name, tensor in state.items():
            place: nn.Module = self
            *folders, last = name.split(".")
            for folder in folders:
                if folder not in dict(place.named_children()):
                    place.add_module(folder, nn.Module())
                place = place.get_submodule(folder)
            place.register_buffer(last, tensor.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x * sum(tensor.float().mean() for tensor in self.buffers())


def script(state: State, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Module(state), torch.ones(1), check_trace=False), str(path))


LIGHTNING = {"epoch": 3, "pytorch-lightning_version": "1.2.9", "optimizer_states": [], "callbacks": {}}


@pytest.mark.parametrize("kind", ["ckpt", "pth", "script"])
def test_lama(tmp_path: Path, kind: str) -> None:
    state = lama_state()
    path = tmp_path / "best.ckpt"
    if kind == "ckpt":  # as its trainer writes it
        beside = {
            "discriminator.model0.0.weight": torch.zeros(8, 3, 4, 4),
            "discriminator.model0.0.bias": torch.zeros(8),
        }
        inside = {f"generator.{name}": tensor for name, tensor in state.items()} | beside
        torch.save({"state_dict": inside, **LIGHTNING}, path)
    elif kind == "pth":
        torch.save(state, path)
    else:  # as programs for fillers have it
        script({f"model.generator.{name}": tensor for name, tensor in state.items()}, path)
    game = loaded(path)
    assert (game.config.arch, game.config.blocks, game.config.halvings, game.config.global_share) == ("ffc", 2, 3, 0.75)
    picture, mask = hole(48, 40)
    with torch.no_grad():
        expected = LaMa(state, 2)(picture, mask)
        made = (game.translate(picture * 2 - 1, mask=mask) + 1) / 2
        assert expected.std() > 0.02
        assert ((made - expected) * mask).abs().max() < 1e-5
        assert torch.equal((made * (1 - mask)), ((picture * 2 - 1 + 1) / 2 * (1 - mask)))


def test_lama_pads_as_its_tester() -> None:
    """Pictures of odd sides are mirrored with the edge repeated, which numpy calls symmetric."""
    from gansmith.nn.ffc import FFCGenerator

    state = lama_state()
    network = FFCGenerator(3, 4, 2).eval()
    network.load_state_dict(state)
    picture, mask = hole(45, 33)
    padded, wide = (
        torch.from_numpy(np.pad(x[0].numpy(), ((0, 0), (0, 3), (0, 7)), mode="symmetric"))[None]
        for x in (picture, mask)
    )
    with torch.no_grad():
        expected = LaMa(state, 2)(padded, wide)[:, :, :45, :33]
        made = (network((picture * 2 - 1) * (1 - mask), mask) + 1) / 2
        assert (made - expected).abs().max() < 1e-5
        assert network(torch.zeros(1, 3, 1, 3), torch.ones(1, 1, 1, 3)).shape == (1, 3, 1, 3)


@pytest.mark.parametrize("kind", ["pt", "script"])
def test_migan(tmp_path: Path, kind: str) -> None:
    state = migan_state()
    path = tmp_path / "migan.pt"
    torch.save(state, path) if kind == "pt" else script(state, path)
    game = loaded(path)
    assert (game.config.arch, game.config.width, game.spec.height) == ("migan", 4, 32)
    picture, mask = hole(32, 32)
    picture = picture * 2 - 1
    with torch.no_grad():
        expected = migan(state, 32, picture, mask).clamp(-1, 1)
        made = game.translate(picture, mask=mask)
    assert (expected.abs() < 0.99).float().mean() > 0.3, "not all beyond black and white"
    assert ((made - expected) * mask).abs().max() < 1e-4
    assert torch.equal(made * (1 - mask), picture * (1 - mask))
    assert game.translate(torch.zeros(1, 3, 45, 71), mask=torch.ones(1, 1, 45, 71)).shape == (1, 3, 45, 71)


def test_an_imported_model_fills_a_photograph(tmp_path: Path, capsys: Any) -> None:
    torch.save(migan_state(), tmp_path / "migan.pt")
    assert cli.main(["import", str(tmp_path / "migan.pt"), "--out", str(tmp_path / "model")]) == 0
    assert "inpaint --arch migan" in capsys.readouterr().err
    pixels = np.random.default_rng(0).integers(0, 255, (90, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    words = ["apply", str(tmp_path / "model"), str(tmp_path / "photo.png"), "--box", "20,30,25,25", "--out"]
    assert cli.main([*words, str(tmp_path / "out")]) == 0
    made = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
    inside = np.zeros((90, 70), bool)
    inside[30:55, 20:45] = True
    assert np.array_equal(made[~inside], pixels[~inside])
    assert not np.array_equal(made[inside], pixels[inside])


def without(state: State, part: str) -> State:
    return {name: tensor for name, tensor in state.items() if part not in name}


def scaled_filter() -> State:
    state = migan_state()
    name = "synthesis.b8.conv1.upsample.filter.weight"
    return {**state, name: state[name] * 2}


def gap() -> State:
    return {name.replace("model.6.conv", "model.60.conv"): tensor for name, tensor in lama_state().items()}


HOSTILE = {
    "a layer is missing": (without(lama_state(), "model.6.conv2.bn_g.weight"), "form that is not read: .*bn_g"),
    "blocks with a gap": (gap(), "no row of Fourier blocks"),
    "a number as long as a line": ({"model.1.ffc.convl2l.weight": torch.zeros(4, 4, 7, 7)} | {f"model.{10**9}.conv1.ffc.convl2l.weight": torch.zeros(1)}, "no row of Fourier"),
    "an entry that is no convolution": ({**lama_state(), "model.1.ffc.convl2l.weight": torch.zeros(3)}, "not a convolution"),
    "a value that is no number": ({**lama_state(), "model.1.bn_l.bias": torch.full((4,), float("nan"))}, "not finite"),
    "local Fourier units": ({**lama_state(), "model.5.conv1.ffc.convg2g.lfu.bn.bias": torch.zeros(4)}, "local Fourier units"),
    "other filters": (scaled_filter(), "other filters"),
    "a size that is no power of 2": ({n.replace("b32", "b33"): t for n, t in migan_state().items()}, "33 px"),
    "a size beyond reason": ({n.replace("b32", "b8192"): t for n, t in migan_state().items()}, "8192 px"),
    "a decoder without an encoder's level": (without(migan_state(), "encoder.b8."), "not read: .*encoder.b8"),
    "the weights of its training": ({**without(migan_state(), "b32.conv1.conv1."), "synthesis.b32.conv1.conv1.w0": torch.zeros(4)}, "as it is trained"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_variants_are_refused(tmp_path: Path, name: str) -> None:
    state, reason = HOSTILE[name]
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=reason):
        import_file(tmp_path / "x.pt")


def test_a_program_whose_weights_are_frozen_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = torch.jit.trace(Module(migan_state()).eval(), torch.ones(1), check_trace=False)
        torch.jit.save(torch.jit.freeze(recorded.eval()), str(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match="frozen one"):
        import_file(tmp_path / "x.pt")

"""What people give to ``gansmith import``: whole trainings, prefixes, other formats, other programs; read, or named truly."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gansmith import cli
from gansmith.errors import ModelError
from gansmith.importers import import_file
from gansmith.models import bundle
from gansmith.nn.patchgan import PatchDiscriminator
from gansmith.nn.resnet_generator import ResnetGenerator
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.unet import UNet

State = dict[str, Tensor]


def resnet(seed: int = 0, **options: Any) -> State:
    torch.manual_seed(seed)
    return ResnetGenerator(3, 3, 8, 2, **options).state_dict()


def rrdb() -> State:
    torch.manual_seed(0)
    return RRDBNet(3, 4, 8, 1, 4).state_dict()


def unet() -> State:
    torch.manual_seed(0)
    return UNet(3, 3, 5, 4).state_dict()


def discriminator() -> State:
    return {
        "model.0.weight": torch.zeros(8, 3, 4, 4), "model.0.bias": torch.zeros(8), "model.11.weight": torch.zeros(1, 64, 4, 4),
        "model.11.bias": torch.zeros(1),
    }  # fmt: skip


def adam(state: State) -> dict[str, Any]:
    """An optimizer's state after a step."""
    parameters = [nn.Parameter(tensor.clone()) for tensor in state.values() if tensor.is_floating_point()]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def training() -> dict[str, Any]:
    """A checkpoint of a CycleGAN's whole training, as trainers save them."""
    return {
        "epoch": 7, "lr": np.float64(2e-4), "args": argparse.Namespace(name="horses", path=Path("/data")), "metrics": {"fid": [40.0, 30.0]},
        "netG_A2B": resnet(1), "netG_B2A": resnet(2), "netD_A": discriminator(), "netD_B": discriminator(),
        "optimizer_G": adam(resnet(1)), "random": np.random.default_rng(0).bit_generator.state,
    }  # fmt: skip


def model_of(path: Path, key: Any = ()) -> bundle.Model:
    found = import_file(path, key)
    return bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, str(path))


def same(model: bundle.Model, network: str, state: State) -> None:
    ours = getattr(model.game, network).state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], state[name]) for name in state)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_with_several_networks_lists_them_and_a_key_chooses(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(training(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError) as error:
        import_file(path)
    for words in (
        "'netG_A2B'",
        "'netG_B2A'",
        "'netD_A'",
        "--key netG_A2B",
        "discriminator of CycleGAN",
        "a residual generator",
    ):
        assert words in str(error.value)
    assert "optimizer_G" not in str(error.value)
    for key, seed in (("netG_A2B", 1), ("netG_B2A", 2)):
        same(model_of(path, key), "generator", resnet(seed))
    both = model_of(path, ["netG_A2B", "netG_B2A"])
    assert both.family == "cyclegan"
    same(both, "generator_ab", resnet(1))
    same(both, "generator_ba", resnet(2))
    with pytest.raises(ModelError, match=r"no 'netG' for --key. It holds .*'netG_A2B'"):
        import_file(path, "netG")
    with pytest.raises(ModelError, match="holds a discriminator"):
        import_file(path, "netD_A")


def test_key_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(training(), tmp_path / "checkpoint.pth")
    words = ["import", str(tmp_path / "checkpoint.pth"), "--out", str(tmp_path / "model")]
    assert cli.main(words) == 2
    assert "--key netG_A2B netG_B2A" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert cli.main([*words, "--key", "netG_A2B"]) == 0
    assert bundle.load(tmp_path / "model").family == "pix2pix"
    assert cli.main([*words, "--key", "netG_A2B", "netG_B2A", "--overwrite"]) == 0
    assert bundle.load(tmp_path / "model").family == "cyclegan"
    assert cli.main([*words, "--key", "a", "b", "c", "--overwrite"]) == 2


def test_the_only_generator_of_a_training_is_taken(tmp_path: Path) -> None:
    state = {"netG": resnet(), "netD": discriminator(), "optG": adam(resnet()), "iteration": 3}
    torch.save(state, tmp_path / "x.pth")
    same(model_of(tmp_path / "x.pth"), "generator", resnet())
    torch.save({"params": resnet(1), "params_ema": resnet(2), "optimizers": [adam(resnet())]}, tmp_path / "x.pth")
    same(model_of(tmp_path / "x.pth"), "generator", resnet(2))
    same(model_of(tmp_path / "x.pth", "params"), "generator", resnet(1))


@pytest.mark.parametrize(
    "prefix", ["model.", "netG.", "generator.", "module.", "module.generator.", "_orig_mod.", "G.", "net_g.module."]
)
@pytest.mark.parametrize("state", [resnet(), rrdb(), unet()], ids=["resnet", "rrdb", "unet"])
def test_prefixes(tmp_path: Path, prefix: str, state: State) -> None:
    torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, tmp_path / "x.pth")
    same(model_of(tmp_path / "x.pth"), "generator", state)


def test_networks_of_one_table_are_told_apart_by_their_prefixes(tmp_path: Path) -> None:
    """As Lightning saves them."""
    flat = {f"generator.{n}": t for n, t in resnet().items()} | {
        f"discriminator.{n}": t for n, t in discriminator().items()
    }
    torch.save({"state_dict": flat, "epoch": 1, "pytorch-lightning_version": "2.0"}, tmp_path / "x.ckpt")
    same(model_of(tmp_path / "x.ckpt"), "generator", resnet())
    flat |= {f"generator_ba.{n}": t for n, t in resnet(3).items()}
    torch.save({"state_dict": flat}, tmp_path / "x.ckpt")
    with pytest.raises(ModelError, match=r"'state_dict.generator_ba'"):
        import_file(tmp_path / "x.ckpt")
    same(model_of(tmp_path / "x.ckpt", "generator_ba"), "generator", resnet(3))


@pytest.mark.parametrize("state", [resnet(), rrdb(), unet()], ids=["resnet", "rrdb", "unet"])
def test_safetensors_of_others(tmp_path: Path, state: State) -> None:
    half = {f"module.{name}": tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_file(
        {name: tensor.contiguous() for name, tensor in half.items()}, tmp_path / "x.safetensors", {"format": "pt"}
    )
    expected = {name: tensor.half().float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    same(model_of(tmp_path / "x.safetensors"), "generator", expected)


def test_a_model_of_ours_is_named_as_one(tmp_path: Path) -> None:
    torch.save(resnet(), tmp_path / "x.pth")
    model_of(tmp_path / "x.pth").save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"used without importing: give its folder, .*model\."):
        import_file(tmp_path / "model" / "model.safetensors")


# --- whole networks, and programs -------------------------------------------------------------------------------------


class TheirNetwork(nn.Module):
    """A network of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inside", [False, True])
def test_a_network_pickled_whole_is_told_how_to_save_its_weights(tmp_path: Path, zipped: bool, inside: bool) -> None:
    network = TheirNetwork()
    torch.save(
        {"model": network, "epoch": 3} if inside else network, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(ModelError) as error:
        import_file(tmp_path / "x.pth")
    assert "torch.save(model.state_dict(), 'weights.pth')" in str(error.value)
    assert "TheirNetwork'" in str(error.value)
    assert "attack" not in str(error.value)


def test_torchscript_and_export_are_programs(tmp_path: Path) -> None:
    torch.jit.script(TheirNetwork()).save(str(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match="not known here") as error:  # its tensors are read, its code is not
        import_file(tmp_path / "x.pt")
    assert "_jit" not in str(error.value)
    program = torch.export.export(TheirNetwork().eval(), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "x.pt2")
    with pytest.raises(ModelError, match=r"torch\.export|TorchScript"):
        import_file(tmp_path / "x.pt2")


def test_onnx_is_a_program(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:]), producer_name="pytorch")
    for name in ("x.onnx", "x.pth"):
        onnx.save(model, str(tmp_path / name))
        with pytest.raises(ModelError, match=r"ONNX program.*exported from"):
            import_file(tmp_path / name)


# --- networks that are known and not read -----------------------------------------------------------------------------


def zeros(*names: str, shape: tuple[int, ...] = (4, 4, 3, 3)) -> State:
    return {name: torch.zeros(shape) for name in names}


KNOWN: dict[str, tuple[State, str]] = {
    "SwinIR": (
        zeros("conv_first.weight", "layers.0.residual_group.blocks.0.attn.qkv.weight", "conv_last.weight"),
        "made of transformers",
    ),
    "GFPGAN": (
        zeros("conv_body_first.weight", "stylegan_decoder.style_mlp.1.weight", "final_linear.weight"),
        "GFPGAN, which repairs faces",
    ),
    "CodeFormer": (zeros("position_emb", "quantize.embedding.weight"), "CodeFormer"),
    "SRVGG": (zeros("body.0.weight", "body.1.weight", "body.2.weight"), "SRVGG"),
    "Real-ESRGAN's discriminator": (
        zeros("conv0.weight", "conv8.weight_orig", "conv9.weight"),
        "discriminator of Real-ESRGAN",
    ),
    "diffusion": (
        zeros("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"),
        "diffusion model",
    ),
    "VGG": (zeros("features.0.weight", "classifier.6.weight"), "VGG"),
    "ResNet": (zeros("layer1.0.conv1.weight", "fc.weight"), "ResNet"),
    "Inception": (zeros("Mixed_5b.branch1x1.conv.weight", "fc.weight"), "evaluate --weights"),
    "LaMa": (zeros("generator.model.1.ffc.convl2l.weight", "generator.model.2.ffc.convl2l.weight"), "LaMa"),
    "ESRGAN+": (zeros("model.0.weight", "model.1.sub.0.RDB1.conv1x1.weight", "model.10.weight"), r"ESRGAN\+"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks_are_named_wherever_they_lie(tmp_path: Path, name: str) -> None:
    state, words = KNOWN[name]
    for content in (
        state,
        {"state_dict": state},
        {"params_ema": {f"module.{n}": t for n, t in state.items()}, "iter": 5},
    ):
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(ModelError, match=words) as error:
            import_file(tmp_path / "x.pth")
        assert "mirroring" not in str(error.value)


def test_psp_is_named_and_its_decoder_can_be_chosen(tmp_path: Path) -> None:
    from helpers import reference_stylegan2 as ref
    from helpers.rosinality import rosinality_state

    torch.manual_seed(1)
    synthesis = {"channel_base": 512, "channel_max": 24}
    generator = ref.Generator(20, 0, 20, 32, 3, mapping_kwargs={"num_layers": 3}, synthesis_kwargs=synthesis)
    state = rosinality_state(generator, ref.Discriminator(0, 32, 3, **synthesis))
    flat = {f"decoder.{n}": t for n, t in state["g_ema"].items()} | zeros(
        "encoder.input_layer.0.weight", "encoder.body.0.res_layer.0.weight"
    )
    average = state["latent_avg"].repeat(8, 1)
    torch.save(
        {"state_dict": flat, "latent_avg": average, "opts": argparse.Namespace(output_size=32)}, tmp_path / "psp.pt"
    )
    with pytest.raises(ModelError, match=r"pSp or e4e.*--key decoder"):
        import_file(tmp_path / "psp.pt")
    found = import_file(tmp_path / "psp.pt", "decoder")
    assert found.family == "stylegan2"
    torch.testing.assert_close(found.tensors["generator.mapping.w_avg"], state["latent_avg"].flatten())


# --- what stands beside tensors ---------------------------------------------------------------------------------------


class Passes:
    """Somebody's own class beside the weights; it is never built."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("this was built")


def test_classes_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    passing = Passes()
    passing.value = 3  # type: ignore[attr-defined]
    content = {
        "state_dict": OrderedDict(resnet()),
        "callbacks": {Passes: {"best": passing}, ("a", 1): 2},
        "loops": [passing],
    }
    torch.save(content, tmp_path / "x.ckpt")
    same(model_of(tmp_path / "x.ckpt"), "generator", resnet())


def test_other_pickles_are_no_weights(tmp_path: Path) -> None:
    for content, words in (
        ([1, 2, 3], "holds no tensors"), ({"a": 1}, "holds no tensors"), (torch.zeros(3), "holds no tensors"), ("text", "holds no tensors"),
        ({"a": {"b": torch.zeros(3)}}, "not known here"), (PatchDiscriminator(3, 8, norm="none").state_dict(), "holds a"),
    ):  # fmt: skip
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(ModelError, match=words):
            import_file(tmp_path / "x.pth")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelError, match="not a network of StyleGAN2"):
        import_file(tmp_path / "x.pkl")
    with pytest.raises(ModelError, match="--key chooses nothing"):
        import_file(tmp_path / "x.pkl", "G_ema")

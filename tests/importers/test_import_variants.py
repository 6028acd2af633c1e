"""Files of CycleGAN, pix2pix and ESRGAN as trainers and forks wrote them: unwrapped, completed, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gansmith.errors import ModelError
from gansmith.importers import import_file
from gansmith.models import bundle
from gansmith.nn.resnet_generator import ResnetGenerator
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.unet import UNet
from gansmith.translation import Translation

State = dict[str, Tensor]


def resnet(inputs: int = 3, outputs: int = 3, **options: object) -> State:
    torch.manual_seed(0)
    return ResnetGenerator(inputs, outputs, 8, 2, **options).state_dict()  # type: ignore[arg-type]


def unet(norm: str = "batch") -> State:
    torch.manual_seed(0)
    return UNet(3, 3, 5, 4, norm).state_dict()  # type: ignore[arg-type]


def rrdb() -> State:
    torch.manual_seed(0)
    return RRDBNet(3, 4, 8, 1, 4).state_dict()


def imported(path: Path, content: object) -> Translation:
    torch.save(content, path)
    found = import_file(path)
    model = bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, str(path))
    assert isinstance(model.game, Translation)
    return model.game


@pytest.mark.parametrize("keys", [["state_dict"], ["model"], ["netG"], ["params"], ["model", "state_dict"]])
def test_state_dicts_are_unwrapped(tmp_path: Path, keys: list[str]) -> None:
    state = resnet()
    content: object = {f"module._orig_mod.{name}": tensor.half() for name, tensor in state.items()}
    for key in keys:
        content = {key: content, "epoch": 200}
    game = imported(tmp_path / "g.pth", content)
    for name, tensor in game.generator.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, state[name].half().float())


@pytest.mark.parametrize("state", [resnet(norm="batch"), unet()], ids=["resnet", "unet"])
def test_batch_norms_that_did_not_count(tmp_path: Path, state: State) -> None:
    old = {name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}
    assert len(old) < len(state)
    game = imported(tmp_path / "g.pth", old)
    assert game.config.norm == "batch"
    for name, tensor in game.generator.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, state[name])


def test_a_cyclegan_between_grey_and_colour(tmp_path: Path) -> None:
    torch.save(resnet(1, 3), tmp_path / "latest_net_G_A.pth")
    torch.save(resnet(3, 1), tmp_path / "latest_net_G_B.pth")
    found = import_file(tmp_path / "latest_net_G_A.pth")
    assert found.family == "cyclegan"
    game = bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, "x").game
    assert isinstance(game, Translation)
    with torch.no_grad():
        assert game.translate(torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)
        assert game.translate(torch.zeros(1, 3, 16, 16), direction="ba").shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("generator", "partner", "reason"),
    [
        (resnet(), resnet(3, 1), "takes 3 channels and makes 1"),
        (resnet(), unet(), "holds a U-Net generator"),
        (resnet(), {"layer.weight": torch.zeros(3), "layer.bias": torch.zeros(3)}, "not known here"),
        (resnet(norm="batch"), resnet(norm="batch"), "they have batch norm"),
        (resnet(), resnet(norm="batch"), "its norm is batch, and instance here"),
        (unet(), unet(), "U-Nets"),
    ],
    ids=["channels", "unet", "other", "batch-norm", "one-batch-norm", "unets"],
)
def test_why_the_way_back_was_not_read_is_said_truly(
    tmp_path: Path, generator: State, partner: State, reason: str
) -> None:
    torch.save(partner, tmp_path / "latest_net_G_B.pth")
    torch.save(generator, tmp_path / "latest_net_G_A.pth")
    found = import_file(tmp_path / "latest_net_G_A.pth")
    assert found.family == "pix2pix"
    note = next(note for note in found.notes if "latest_net_G_B.pth" in note)
    assert reason in note
    assert "import latest_net_G_B.pth into another folder" in note


def test_a_pair_with_dropout_becomes_a_cyclegan(tmp_path: Path) -> None:
    states = {side: resnet(dropout=True) for side in "AB"}
    for side, state in states.items():
        torch.save(state, tmp_path / f"latest_net_G_{side}.pth")
    found = import_file(tmp_path / "latest_net_G_A.pth")
    assert found.family == "cyclegan"
    assert any("dropout" in note for note in found.notes)
    game = bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, "x").game
    assert isinstance(game, Translation)
    original = ResnetGenerator(3, 3, 8, 2, dropout=True).eval()
    original.load_state_dict(states["B"])
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(game.translate(images, direction="ba"), original(images))


def antialiased() -> State:
    state = resnet()
    return {**state, "model.7.filt": torch.zeros(16, 1, 3, 3)}


def affine() -> State:
    return {**resnet(), "model.2.weight": torch.ones(8), "model.2.bias": torch.zeros(8)}


def biased() -> State:
    return {**resnet(norm="batch"), "model.1.bias": torch.zeros(8)}


def without_norms() -> State:
    return {name: tensor for name, tensor in resnet().items() if not name.endswith("bias") or name == "model.18.bias"}


def plain_residual() -> State:
    names = ("conv_first", "body.0.conv1", "body.0.conv2", "upconv1", "upconv2", "conv_hr", "conv_last")
    return {f"{name}.weight": torch.zeros(3 if name == "conv_last" else 64, 64, 3, 3) for name in names}


def deeper(steps: int) -> State:
    ups = {f"conv_up{number}.weight": torch.zeros(8, 8, 3, 3) for number in range(3, steps + 1)}
    return {**rrdb(), **ups}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (antialiased(), "CUT"),
        (affine(), "affine"),
        (biased(), "biases in front of its batch norms"),
        (without_norms(), "no norm layers"),
        (resnet(6, 3), "6 channels"),
        (plain_residual(), "no RRDB blocks"),
        ({"model.1.sub.0.weight": torch.zeros(3), "model.0.bias": torch.zeros(3)}, "not known here"),
        (deeper(5), "5 steps up"),
        ({**rrdb(), "conv_first.weight": torch.zeros(3)}, "first or last layer"),
        ({**unet(), "model.model.0.weight": torch.zeros(3)}, "not a convolution"),
        ({**unet(), "model.model.3.weight": torch.zeros(3)}, "not a convolution"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, state: State, reason: str) -> None:
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(ModelError, match=reason):
        import_file(tmp_path / "g.pth")

"""Upscalers of others: RRDBNet at every scale, the compact SRVGG, Real-ESRGAN's discriminator, and spandrel's networks."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

import gansmith
from gansmith import registry
from gansmith.cli import main
from gansmith.config import make
from gansmith.errors import GansmithError, ModelError
from gansmith.files.pictures import to_uint8
from gansmith.game import ImageSpec
from gansmith.importers import import_file
from gansmith.models import bundle, transfer
from gansmith.nn.bounded import bounded, check_names
from gansmith.nn.rrdb import RRDBNet
from gansmith.nn.srvgg import SRVGGNet
from gansmith.nn.unet_discriminator import UNetDiscriminator

State = dict[str, Tensor]


def built(path: Path) -> Any:
    found = import_file(path)
    return bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {}, str(path)).game


def old_names(state: State) -> State:
    """ESRGAN's first layout, whose layers are numbered."""
    ups = sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in state)
    blocks = 1 + max(int(m[1]) for name in state if (m := re.match(r"body\.(\d+)", name)))
    places = {"conv_first": 0} | {f"conv_up{n}": 3 * n for n in range(1, ups + 1)}
    places |= {"conv_hr": 3 * ups + 2, "conv_last": 3 * ups + 4}
    renamed = {}
    for name, tensor in state.items():
        layer, _, what = name.rpartition(".")
        if match := re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)", layer):
            renamed[f"model.1.sub.{match[1]}.RDB{match[2]}.conv{match[3]}.0.{what}"] = tensor
        elif layer == "conv_body":
            renamed[f"model.1.sub.{blocks}.{what}"] = tensor
        else:
            renamed[f"model.{places[layer]}.{what}"] = tensor
    return renamed


# --- RRDBNet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True], ids=["today", "first layout"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_rrdbnets_of_every_scale_are_read(scale: int, channels: int, old: bool, tmp_path: Path):
    torch.manual_seed(scale)
    network = RRDBNet(channels, scale, 8, 1, 4, fold=False)
    state = network.state_dict()
    torch.save(old_names(state) if old else {"params_ema": state}, tmp_path / "g.pth")
    game = built(tmp_path / "g.pth")
    pictures = torch.rand(1, channels, 10, 9) * 2 - 1
    with torch.no_grad():
        expected = (network((pictures + 1) / 2) * 2 - 1).clamp(-1, 1)
        assert torch.equal(game.translate(pictures), expected)
    assert game.scale == scale


@pytest.mark.parametrize(("scale", "inputs"), [(1, 48), (2, 12)])
def test_folded_rrdbnets_are_read(scale: int, inputs: int, tmp_path: Path):
    network = RRDBNet(3, scale, 8, 1, 4)
    assert network.conv_first.weight.shape[1] == inputs
    torch.save({"params": network.state_dict()}, tmp_path / "g.pth")
    game = built(tmp_path / "g.pth")
    assert game.config.fold
    assert game.alignment == 4 // scale
    pictures = torch.rand(1, 3, 7, 9) * 2 - 1
    with torch.no_grad():
        assert torch.equal(game.translate(pictures), (network((pictures + 1) / 2) * 2 - 1).clamp(-1, 1))


def test_scale_1_is_trained_on_what_it_can_mend():
    with pytest.raises(GansmithError, match="--damage wild"):
        gansmith.build("upscale", size=32, channels=3, scale=1)
    game = gansmith.build("upscale", size=32, channels=3, scale=1, damage="wild", blocks=1, width=8)
    pair = game.pair(torch.rand(2, 3, 32, 32) * 2 - 1)  # type: ignore[operator]
    assert pair.given.shape == pair.target.shape
    assert (pair.given - pair.target).abs().mean() > 0.01


# --- SRVGG ------------------------------------------------------------------------------------------------------------


def original_srvgg(scale: int, convs: int, channels: int = 3) -> nn.Module:
    """The architecture written down from the paper's code: a list called body, and the nearest enlargement added."""

    class Original(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1), nn.PReLU(16)]
            for _ in range(convs):
                layers += [nn.Conv2d(16, 16, 3, padding=1), nn.PReLU(16)]
            self.body = nn.ModuleList([*layers, nn.Conv2d(16, channels * scale * scale, 3, padding=1)])

        def forward(self, x: Tensor) -> Tensor:
            out = x
            for layer in self.body:
                out = layer(out)
            return nn.PixelShuffle(scale)(out) + interpolate(x, scale_factor=scale, mode="nearest")

    return Original()


@pytest.mark.parametrize(("scale", "channels"), [(1, 3), (2, 3), (3, 3), (4, 1), (4, 4)])
def test_compact_networks_are_read(scale: int, channels: int, tmp_path: Path):
    network = original_srvgg(scale, 2, channels)
    torch.save({"params": network.state_dict()}, tmp_path / "g.pth")
    game = built(tmp_path / "g.pth")
    pictures = torch.rand(2, channels, 9, 8) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(game.translate(pictures), (network((pictures + 1) / 2) * 2 - 1).clamp(-1, 1), atol=1e-6)


def test_the_compact_network_has_the_published_size():
    count = sum(p.numel() for p in SRVGGNet(3, 4, 64, 16).parameters())
    assert count == 621_424
    assert sum(p.numel() for p in SRVGGNet(3, 4, 64, 32).parameters()) == 1_213_296


@pytest.mark.parametrize(
    "state",
    [
        {"body.0.weight": torch.zeros(8, 3, 3, 3), "body.0.bias": torch.zeros(8)},
        {f"body.{n}.weight": torch.zeros(8, 8, 5, 5) for n in (0, 2, 4)},
        {f"body.{n}.weight": torch.zeros(7, 7, 3, 3) for n in (0, 2, 4)},
        {
            "body.9999.weight": torch.zeros(8, 8, 3, 3),
            "body.0.weight": torch.zeros(8, 3, 3, 3),
            "body.2.weight": torch.zeros(8, 8, 3, 3),
        },
    ],
    ids=["one layer", "5x5", "7 channels", "a gap"],
)
def test_other_bodies_are_refused(state: State, tmp_path: Path):
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(ModelError):
        import_file(tmp_path / "g.pth")


def test_the_compact_network_is_trained(tmp_path: Path):
    from helpers.pictures import write_folder

    folder = write_folder(tmp_path / "photos", 6, 64)
    model = gansmith.train("upscale", data=str(folder), out=tmp_path / "run", size=32, steps=8, batch=4, scale=2, network="compact",
                           width=8, blocks=2, width_discriminator=8, discriminator="unet", pretrain=0.5, quiet=True)  # fmt: skip
    assert isinstance(model.game.generator, SRVGGNet)  # type: ignore[union-attr]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


# --- Real-ESRGAN's discriminator --------------------------------------------------------------------------------------


class OriginalD(nn.Module):
    """The U-Net discriminator from the paper's code, with torch's spectral normalisation of that time."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        norm, w = nn.utils.spectral_norm, width
        self.conv0 = nn.Conv2d(3, w, 3, 1, 1)
        self.conv1 = norm(nn.Conv2d(w, w * 2, 4, 2, 1, bias=False))
        self.conv2 = norm(nn.Conv2d(w * 2, w * 4, 4, 2, 1, bias=False))
        self.conv3 = norm(nn.Conv2d(w * 4, w * 8, 4, 2, 1, bias=False))
        self.conv4 = norm(nn.Conv2d(w * 8, w * 4, 3, 1, 1, bias=False))
        self.conv5 = norm(nn.Conv2d(w * 4, w * 2, 3, 1, 1, bias=False))
        self.conv6 = norm(nn.Conv2d(w * 2, w, 3, 1, 1, bias=False))
        self.conv7 = norm(nn.Conv2d(w, w, 3, 1, 1, bias=False))
        self.conv8 = norm(nn.Conv2d(w, w, 3, 1, 1, bias=False))
        self.conv9 = nn.Conv2d(w, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        def act(t: Tensor) -> Tensor:
            return leaky_relu(t, 0.2)

        def up(t: Tensor) -> Tensor:
            return interpolate(t, scale_factor=2, mode="bilinear", align_corners=False)

        x0 = act(self.conv0(x))
        x1 = act(self.conv1(x0))
        x2 = act(self.conv2(x1))
        x3 = act(self.conv3(x2))
        x4 = act(self.conv4(up(x3))) + x2
        x5 = act(self.conv5(up(x4))) + x1
        x6 = act(self.conv6(up(x5))) + x0
        return self.conv9(act(self.conv8(act(self.conv7(x6)))))


def test_fine_tuning_starts_with_both_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    original = OriginalD()
    original(torch.rand(2, 3, 32, 32))  # a step of its power iteration
    original.eval()
    torch.save({"params_ema": RRDBNet(3, 2, 8, 1, 4).state_dict()}, tmp_path / "mine.pth")
    torch.save({"params": original.state_dict()}, tmp_path / "mine_netD.pth")
    assert main(["import", str(tmp_path / "mine.pth"), "--out", str(tmp_path / "model")]) == 0
    assert "mine_netD.pth" in capsys.readouterr().err
    model = gansmith.load(tmp_path / "model")
    game = registry.family("upscale")(model.config, model.spec)
    found = transfer.start_from(game, tmp_path / "model")
    assert not found.opponent_is_new
    assert not found.left
    game.eval()
    pictures = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        ours, theirs = game.discriminator(pictures), original(pictures)  # type: ignore[operator]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.std() > 0


def test_the_published_discriminator_has_the_published_size():
    assert sum(p.numel() for p in UNetDiscriminator().parameters()) == 4_376_897


@pytest.mark.parametrize("size", [(8, 8), (30, 41)])
def test_the_discriminator_takes_pictures_of_any_size(size: tuple[int, int]):
    found = UNetDiscriminator(3, 4).features(torch.rand(2, 3, *size))
    assert found[-1].shape == (2, 1, *size)


def test_a_discriminator_alone_is_refused_with_the_way_to_use_it(tmp_path: Path):
    torch.save({"params": OriginalD().state_dict()}, tmp_path / "x_netD.pth")
    with pytest.raises(ModelError, match="beside it under the same name"):
        import_file(tmp_path / "x_netD.pth")
    broken = {**OriginalD().state_dict(), "conv3.weight_orig": torch.zeros(3)}
    torch.save({"params": RRDBNet(3, 4, 8, 1, 4).state_dict()}, tmp_path / "y.pth")
    torch.save({"params": broken}, tmp_path / "y_netD.pth")
    with pytest.raises(ModelError, match="is not Real-ESRGAN's"):
        import_file(tmp_path / "y.pth")


# --- spandrel ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def span() -> tuple[nn.Module, State]:
    architectures = pytest.importorskip("spandrel.architectures.SPAN")
    torch.manual_seed(0)
    network = architectures.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2).eval()
    return network, network.state_dict()


@pytest.fixture(scope="module")
def swin() -> tuple[nn.Module, State]:
    architectures = pytest.importorskip("spandrel.architectures.SwinIR")
    torch.manual_seed(0)
    network = architectures.SwinIR(upscale=2, img_size=16, window_size=8, depths=[2], embed_dim=12, num_heads=[2],
                                   upsampler="nearest+conv").eval()  # fmt: skip
    return network, network.state_dict()


@pytest.mark.parametrize("which", ["span", "swin"])
def test_networks_of_spandrel_give_what_they_give_there(which: str, tmp_path: Path, request: pytest.FixtureRequest):
    network, state = request.getfixturevalue(which)
    torch.save({"params": state}, tmp_path / "g.pth")
    assert main(["import", str(tmp_path / "g.pth"), "--out", str(tmp_path / "model")]) == 0
    game: Any = gansmith.load(tmp_path / "model").game
    pictures = torch.rand(2, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(game.translate(pictures), network((pictures + 1) / 2).clamp(0, 1) * 2 - 1, atol=1e-4)
        assert game.translate(pictures[:, :, :11, :13]).shape == (2, 3, 22, 26)


def test_networks_of_spandrel_work_wherever_a_model_does(
    swin: tuple[nn.Module, State], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    torch.save(swin[1], tmp_path / "g.pth")
    model = tmp_path / "model"
    assert main(["import", str(tmp_path / "g.pth"), "--out", str(model)]) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
    for folder, words in (("whole", ["--tile", "200"]), ("tiles", ["--tile", "72"])):
        assert main(["apply", str(model), str(tmp_path / "in"), "--out", str(tmp_path / folder), *words]) == 0
    whole, tiles = (np.asarray(Image.open(tmp_path / f / "a.png"), float) for f in ("whole", "tiles"))
    assert whole.shape == (180, 260, 3)
    assert np.abs(whole - tiles).mean() < 1.0
    assert main(["evaluate", str(model), "--data", str(write(tmp_path / "photos")), "--json"]) == 0
    assert '"bicubic"' in capsys.readouterr().out
    pytest.importorskip("onnx")
    assert main(["export", str(model), "--out", str(tmp_path / "m.onnx")]) == 0
    assert main(["train", "spandrel", "--data", str(tmp_path / "photos"), "--steps", "1"]) == 2


def write(folder: Path) -> Path:
    folder.mkdir()
    torch.manual_seed(0)
    for number in range(2):
        picture = interpolate(torch.rand(1, 3, 10, 10) * 2 - 1, size=(160, 160), mode="bicubic").clamp(-1, 1)
        Image.fromarray(to_uint8(picture)[0].permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("what", ["layers", "index", "width", "nan", "shape", "other"])
def test_hostile_networks_for_spandrel_are_refused_at_once(what: str, swin: tuple[nn.Module, State], tmp_path: Path):
    state: dict[str, Tensor] = dict(swin[1])
    if what == "layers":
        state["layers.1000000000.residual_group.blocks.0.norm1.weight"] = torch.zeros(1)
    elif what == "index":
        state["layers.200.residual_group.blocks.90.norm1.weight"] = torch.zeros(1)
    elif what == "width":
        state["conv_first.weight"] = torch.zeros(60_000, 3, 1, 1)
    elif what == "nan":
        state["conv_first.weight"] = torch.full_like(state["conv_first.weight"], torch.nan)
    elif what == "shape":
        state["conv_first.weight"] = torch.zeros(3)
    else:
        state = {"something.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "g.pth")
    started = time.monotonic()
    with pytest.raises(ModelError):
        built(tmp_path / "g.pth")
    assert time.monotonic() - started < 30


def test_the_number_of_tensors_is_bounded():
    with pytest.raises(ModelError, match="at most"):
        check_names({f"a.{n}.weight": torch.zeros(0) for n in range(20_001)}, "g")


def test_what_building_may_ask_for_is_bounded():
    for ask in (lambda: torch.zeros(1 << 20, 1 << 20), lambda: torch.ones(4).repeat(1 << 40), lambda: nn.Linear(1 << 20, 1 << 20),
                lambda: [torch.zeros(1 << 25) for _ in range(100)]):  # fmt: skip
        with pytest.raises(ModelError, match="far larger"):
            bounded(ask, 100, "g")
    assert bounded(lambda: nn.Linear(100, 100), 100, "g").weight.shape == (100, 100)


def test_without_spandrel_the_error_says_how_to_get_it(
    swin: tuple[nn.Module, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import sys

    torch.save(swin[1], tmp_path / "g.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=r"gansmith\[upscalers\]"):
        import_file(tmp_path / "g.pth")


def test_a_spandrel_model_whose_config_lies_is_refused(span: tuple[nn.Module, State], tmp_path: Path):
    torch.save(span[1], tmp_path / "g.pth")
    found = import_file(tmp_path / "g.pth")
    for lie in ({"scale": 4}, {"architecture": "SwinIR"}):
        with pytest.raises(ModelError, match="Import the original file again"):
            bundle.from_tensors("spandrel", {**found.config, **lie}, found.spec, found.tensors, {}, "g")
    with pytest.raises(GansmithError, match="used as they are"):
        registry.family("spandrel")(make(registry.family("spandrel").Config, {}, "x"), ImageSpec(32, 32, 3))

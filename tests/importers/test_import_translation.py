"""Weights of the CycleGAN / pix2pix project and of ESRGAN: told apart, renamed, and giving the original's pictures."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from gansmith import cli, registry
from gansmith.config import make
from gansmith.errors import ModelError
from gansmith.importers import import_file
from gansmith.nn.norms import as_in_training
from gansmith.translation import Translation
from helpers.pictures import write_folder

# --- the original architectures, written down from their papers with layers in the numbering of their files -----------


def norm_layer(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


class OriginalBlock(nn.Module):
    def __init__(self, c: int, norm: str, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(c, c, 3, bias=bias),
            norm_layer(norm, c),
            nn.ReLU(True),
        ]
        layers += [nn.Dropout(0.5)] if dropout else []
        self.conv_block = nn.Sequential(
            *layers, nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm_layer(norm, c)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def original_resnet(blocks: int, norm: str, dropout: bool = False, width: int = 8) -> nn.Module:
    bias = norm == "instance"
    w = width
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7, bias=bias), norm_layer(norm, w), nn.ReLU(True)]
    for c in (w, 2 * w):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), norm_layer(norm, 2 * c), nn.ReLU(True)]
    layers += [OriginalBlock(4 * w, norm, dropout) for _ in range(blocks)]
    for c in (4 * w, 2 * w):
        layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), norm_layer(norm, c // 2), nn.ReLU(True)]
    network = nn.Module()
    network.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())
    network.forward = network.model.forward  # type: ignore[method-assign]
    return network


class OriginalSkip(nn.Module):
    def __init__(self, outer: int, inner: int, sub: nn.Module | None, norm: str, outermost: bool = False) -> None:
        super().__init__()
        bias, self.outermost = norm == "instance", outermost
        if outermost:
            assert sub is not None
            layers = [
                nn.Conv2d(3, inner, 4, 2, 1, bias=bias),
                sub,
                nn.ReLU(True),
                nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1),
                nn.Tanh(),
            ]
        else:
            down = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
            middle = [] if sub is None else [norm_layer(norm, inner), sub]
            width = inner if sub is None else 2 * inner
            layers = [
                *down,
                *middle,
                nn.ReLU(True),
                nn.ConvTranspose2d(width, outer, 4, 2, 1, bias=bias),
                norm_layer(norm, outer),
            ]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def original_unet(depth: int, norm: str, width: int = 4) -> nn.Module:
    sub: nn.Module = OriginalSkip(8 * width, 8 * width, None, norm)
    for _ in range(depth - 5):
        sub = OriginalSkip(8 * width, 8 * width, sub, norm)
    for i in (2, 1, 0):
        sub = OriginalSkip(width * 2**i, width * 2 ** (i + 1), sub, norm)
    network = nn.Module()
    network.model = OriginalSkip(3, width, sub, norm, outermost=True)
    network.forward = network.model.forward  # type: ignore[method-assign]
    return network


class OriginalRRDB:
    """RRDBNet straight from a state dict of today's names."""

    def __init__(self, state: dict[str, Tensor], unshuffle: int) -> None:
        self.state, self.unshuffle = state, unshuffle

    def conv(self, name: str, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], padding=1)

    def __call__(self, x: Tensor) -> Tensor:
        x = nn.functional.pixel_unshuffle(x, self.unshuffle)
        first = trunk = self.conv("conv_first", x)
        for b in range(23):
            inner = trunk
            for r in (1, 2, 3):
                seen = [inner]
                for c in (1, 2, 3, 4):
                    seen.append(leaky_relu(self.conv(f"body.{b}.rdb{r}.conv{c}", torch.cat(seen, 1)), 0.2))
                inner = inner + 0.2 * self.conv(f"body.{b}.rdb{r}.conv5", torch.cat(seen, 1))
            trunk = trunk + 0.2 * inner
        x = first + self.conv("conv_body", trunk)
        for up in ("conv_up1", "conv_up2"):
            x = leaky_relu(self.conv(up, interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv("conv_last", leaky_relu(self.conv("conv_hr", x), 0.2))


def rrdb_state(first: int) -> dict[str, Tensor]:
    shapes = {
        "conv_first": (64, first),
        "conv_body": (64, 64),
        "conv_up1": (64, 64),
        "conv_up2": (64, 64),
        "conv_hr": (64, 64),
        "conv_last": (3, 64),
    }
    for b in range(23):
        for r in (1, 2, 3):
            for c in range(1, 6):
                shapes[f"body.{b}.rdb{r}.conv{c}"] = (32 if c < 5 else 64, 64 + 32 * (c - 1))
    random = torch.Generator().manual_seed(0)
    state = {}
    for name, (o, i) in shapes.items():
        state[f"{name}.weight"] = torch.randn(o, i, 3, 3, generator=random) * 0.7 / (9 * i) ** 0.5
        state[f"{name}.bias"] = torch.randn(o, generator=random) * 0.01
    return state


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    numbers = {
        "conv_first": "model.0",
        "conv_body": "model.1.sub.23",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }

    def old(name: str) -> str:
        if match := re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)\.(\w+)", name):
            return f"model.1.sub.{match[1]}.RDB{match[2]}.conv{match[3]}.0.{match[4]}"
        layer, kind = name.rsplit(".", 1)
        return f"{numbers[layer]}.{kind}"

    return {old(name): tensor for name, tensor in state.items()}


# --- tests --------------------------------------------------------------------------------------------------------


def built(path: Path) -> tuple[Any, Translation]:
    imported = import_file(path)
    family = registry.family(imported.family)
    game = family(make(family.Config, imported.config, imported.family), imported.spec)
    missing, unexpected = game.load_state_dict(imported.tensors, strict=False)
    exported = tuple(f"{name}." for name in game.exports)
    assert not unexpected
    assert not [name for name in missing if name.startswith(exported)]
    assert isinstance(game, Translation)
    return imported, game.eval()  # type: ignore[return-value]


def randomised(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval()


@pytest.mark.parametrize(
    ("blocks", "norm", "dropout"), [(9, "instance", False), (6, "batch", False), (6, "instance", True)]
)
def test_resnet_generators(tmp_path: Path, blocks: int, norm: str, dropout: bool) -> None:
    torch.manual_seed(0)
    network = randomised(original_resnet(blocks, norm, dropout))
    torch.save({f"module.{n}": t for n, t in network.state_dict().items()}, tmp_path / "latest_net_G.pth")
    imported, game = built(tmp_path / "latest_net_G.pth")
    assert imported.family == "pix2pix"
    assert imported.config["blocks"] == blocks
    assert imported.config["norm"] == norm
    images = torch.rand(2, 3, 32, 40) * 2 - 1
    with torch.no_grad():
        assert (game.translate(images) - network(images)).abs().max() < 1e-5


def test_both_directions_of_a_cyclegan_and_old_statistics(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = {side: original_resnet(6, "instance").eval() for side in "AB"}
    for side, network in networks.items():
        state = dict(network.state_dict()) | {
            "model.2.running_mean": torch.rand(8),
            "model.10.conv_block.2.running_var": torch.rand(32),
        }
        torch.save(state, tmp_path / f"200_net_G_{side}.pth")
    imported, game = built(tmp_path / "200_net_G_A.pth")
    assert imported.family == "cyclegan"
    assert imported.spec.height == 128
    assert any("Left out 2" in note for note in imported.notes)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        for direction, side in (("ab", "A"), ("ba", "B")):
            assert (game.translate(images, direction=direction) - networks[side](images)).abs().max() < 1e-5


@pytest.mark.parametrize(("depth", "norm"), [(8, "batch"), (7, "instance")])
def test_unets(tmp_path: Path, depth: int, norm: str) -> None:
    torch.manual_seed(0)
    network = randomised(original_unet(depth, norm))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    imported, game = built(tmp_path / "g.pth")
    assert imported.spec.height == 2**depth
    assert imported.config["norm"] == norm
    images = torch.rand(1, 3, 2**depth, 2 ** (depth + 1)) * 2 - 1
    with torch.no_grad():
        assert (game.translate(images) - network(images.clone())).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("scale", "naming", "key"), [(4, "new", "params_ema"), (2, "new", "params"), (4, "old", None), (4, "middle", None)]
)
def test_rrdbnets(tmp_path: Path, scale: int, naming: str, key: str | None) -> None:
    state = rrdb_state(3 if scale == 4 else 12)
    stored = old_names(state) if naming == "old" else state
    if naming == "middle":
        renames = (
            (r"body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB"),
            ("conv_body", "trunk_conv"),
            ("conv_up", "upconv"),
            ("conv_hr", "HRconv"),
        )
        stored = {}
        for name, tensor in state.items():
            for pattern, new in renames:
                name = re.sub(pattern, new, name)
            stored[name] = tensor
    torch.save({key: stored} if key else stored, tmp_path / "x.pth")
    imported, game = built(tmp_path / "x.pth")
    assert imported.family == "upscale"
    assert game.scale == scale
    images = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        expected = OriginalRRDB(state, 4 // scale)(images)
        found = game.generator(images) if hasattr(game, "generator") else None  # type: ignore[operator]
        assert (found - expected).abs().max() < 1e-5 * max(1.0, expected.abs().max().item())
        assert (game.translate(images * 2 - 1) - (expected * 2 - 1).clamp(-1, 1)).abs().max() < 2e-5


def official_tester(network: nn.Module, images: Tensor) -> Tensor:
    """What the project's test script computes without --eval: one picture at a time, everything as in training."""
    network.train()
    with torch.no_grad():
        return torch.cat([network(image[None].clone()) for image in images])


@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_norm_batch_gives_the_official_testers_pictures(tmp_path: Path, kind: str, capsys: Any) -> None:
    torch.manual_seed(0)
    network = randomised(original_resnet(6, "batch") if kind == "resnet" else original_unet(5, "batch"))
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    assert cli.main(["import", str(tmp_path / "latest_net_G.pth"), "--out", str(tmp_path / "model")]) == 0
    assert "gansmith apply --norm batch" in capsys.readouterr().err
    pictures = write_folder(tmp_path / "pictures", 2, size=64)
    words = ["apply", str(tmp_path / "model"), str(pictures), "--out"]
    assert cli.main([*words, str(tmp_path / "usual")]) == 0
    assert cli.main([*words, str(tmp_path / "same"), "--norm", "batch"]) == 0
    for name in ("000.png", "001.png"):
        pixels = np.asarray(Image.open(pictures / name))
        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1
        theirs = (official_tester(network, images)[0].permute(1, 2, 0).numpy() + 1) * 127.5
        usual, same = (np.asarray(Image.open(tmp_path / folder / name)).astype(float) for folder in ("usual", "same"))
        assert np.abs(usual - theirs).mean() > 5
        # a U-Net is imported with the dropout of its kind, which this one has not
        if kind == "resnet":
            assert np.abs(same - theirs).max() <= 1
        else:
            assert np.abs(same - theirs).mean() < 0.5 * np.abs(usual - theirs).mean()


def test_as_in_training_is_what_training_does() -> None:
    torch.manual_seed(0)
    network = randomised(original_unet(6, "batch"))
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    theirs = official_tester(network, images)
    ours = copy.deepcopy(network).eval()
    assert as_in_training(ours) == sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert as_in_training(ours) == 0
    with torch.no_grad():
        # torch's instance norm of one pixel is refused in training; deeper than that there is none
        assert (ours(images.clone()) - theirs).abs().max() < 1e-4
    dropping = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.25)).eval()
    assert as_in_training(dropping) == 2
    x = torch.ones(2, 4, 200, 200)
    first, second = dropping(x), dropping(x)
    assert torch.equal(first, second)  # the same picture, the same result
    assert abs(float((first == 0).float().mean()) - (1 - 0.5 * 0.75)) < 0.01
    assert abs(float(first.mean()) - 1) < 0.02
    assert as_in_training(nn.Sequential(nn.InstanceNorm2d(3))) == 0


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model.1.weight": Evil()}, "evil.pth")
    with pytest.raises(ModelError, match=r"asks for '.*system'.*attack"):
        import_file("evil.pth")
    assert not Path("pwned").exists()
    Path("text.pth").write_text("hello")
    with pytest.raises(ModelError):
        import_file("text.pth")
    with pytest.raises(ModelError, match="no file"):
        import_file("missing.pth")
    torch.save({"layer.weight": torch.zeros(3)}, "other.pth")
    with pytest.raises(ModelError, match="not known"):
        import_file("other.pth")
    torch.save(
        {"model.0.weight": torch.zeros(64, 3, 4, 4), "model.11.weight": torch.zeros(1, 512, 4, 4)}, "latest_net_D.pth"
    )
    with pytest.raises(ModelError, match="discriminator"):
        import_file("latest_net_D.pth")
    more = {
        f"conv_up{n}.{w}": t
        for n in (3, 4, 5)
        for w, t in (("weight", torch.zeros(64, 64, 3, 3)), ("bias", torch.zeros(64)))
    }
    torch.save({"params": rrdb_state(3) | more}, "odd.pth")
    with pytest.raises(ModelError, match="5 steps up"):
        import_file("odd.pth")


def test_an_rrdbnet_of_six_blocks(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in rrdb_state(3).items() if not re.match(r"body\.([6-9]|1\d|2\d)\.", name)}
    torch.save({"params_ema": state}, tmp_path / "anime.pth")
    imported, game = built(tmp_path / "anime.pth")
    assert imported.config["blocks"] == 6
    with torch.no_grad():
        assert game.translate(torch.zeros(1, 3, 9, 8)).shape == (1, 3, 36, 32)

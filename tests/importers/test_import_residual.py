"""CUT's and pix2pixHD's weights: the pictures of the original networks, and label maps in the hands of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gansmith import cli
from gansmith.apply.labels import borders
from gansmith.apply.tiles import translate_picture
from gansmith.errors import ModelError
from gansmith.importers import import_file
from gansmith.models import bundle

State = dict[str, Tensor]


def filt(channels: int, *taps: float, gain: float = 1.0) -> Tensor:
    line = torch.tensor(taps) / sum(taps)
    return (torch.outer(line, line) * gain).repeat(channels, 1, 1, 1)


class Down(nn.Module):
    """CUT's halving: a blur of 1 2 1, edges mirrored, every second pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", filt(channels, 1, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), self.filt, stride=2, groups=x.shape[1])  # type: ignore[arg-type]


class Up(nn.Module):
    """CUT's doubling: edges repeated, zeros between pixels, a blur of 1 3 3 1, a rim cut off."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", filt(channels, 1, 3, 3, 1, gain=4))

    def forward(self, x: Tensor) -> Tensor:
        made = F.conv_transpose2d(
            F.pad(x, (1,) * 4, mode="replicate"), self.filt, stride=2, padding=2, groups=x.shape[1]
        )  # type: ignore[arg-type]
        return made[:, :, 1:-1, 1:-1]


class Block(nn.Module):
    def __init__(self, c: int, dropout: bool = False) -> None:
        super().__init__()
        drop = [nn.Dropout(0.5)] if dropout else []
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c), nn.ReLU(), *drop,
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def original(
    inputs: int, w: int, halvings: int, blocks: int, down: bool = False, up: bool = False, dropout: bool = False
) -> nn.Sequential:
    """A residual generator as its project writes it, with anti-aliased layers or without."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, w, 7), nn.InstanceNorm2d(w), nn.ReLU()]
    for c in [w * 2**i for i in range(halvings)]:
        layers += [nn.Conv2d(c, 2 * c, 3, 1 if down else 2, 1), nn.InstanceNorm2d(2 * c), nn.ReLU()]
        layers += [Down(2 * c)] if down else []
    layers += [Block(w * 2**halvings, dropout) for _ in range(blocks)]
    for c in [w * 2**i for i in range(halvings, 0, -1)]:
        layers += (
            [Up(c), nn.Conv2d(c, c // 2, 3, 1, 1)] if up else [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1)]
        )
        layers += [nn.InstanceNorm2d(c // 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())


class Named(nn.Module):
    """A network whose layers lie in ``model``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Local(nn.Module):
    """pix2pixHD's local enhancer around a global generator."""

    def __init__(self, inputs: int, w: int, halvings: int, blocks: int, enhancers: int) -> None:
        super().__init__()
        self.enhancers = enhancers
        self.model = original(inputs, w * 2**enhancers, halvings, blocks)[:-3]
        for n in range(1, enhancers + 1):
            c = w * 2 ** (enhancers - n)
            down = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, c, 7), nn.InstanceNorm2d(c), nn.ReLU()]
            down += [nn.Conv2d(c, 2 * c, 3, 2, 1), nn.InstanceNorm2d(2 * c), nn.ReLU()]
            up: list[nn.Module] = [Block(2 * c) for _ in range(3)]
            up += [nn.ConvTranspose2d(2 * c, c, 3, 2, 1, 1), nn.InstanceNorm2d(c), nn.ReLU()]
            up += [nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh()] if n == enhancers else []
            self.add_module(f"model{n}_1", nn.Sequential(*down))
            self.add_module(f"model{n}_2", nn.Sequential(*up))

    def forward(self, x: Tensor) -> Tensor:
        sizes = [x]
        for _ in range(self.enhancers):
            sizes.append(F.avg_pool2d(sizes[-1], 3, 2, 1, count_include_pad=False))
        made = self.model(sizes[-1])
        for n in range(1, self.enhancers + 1):
            given = getattr(self, f"model{n}_1")(sizes[self.enhancers - n])
            made = getattr(self, f"model{n}_2")(given + made)
        return made


def loaded(path: Path, labels: int | None = None) -> Any:
    found = import_file(path, labels=labels)
    return bundle.from_tensors(found.family, found.config, found.spec, found.tensors, {"notes": found.notes}, str(path))


# --- CUT ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("down", "up", "dropout"), [(True, True, False), (False, True, False), (True, False, False), (True, True, True)]
)
def test_cut(tmp_path: Path, down: bool, up: bool, dropout: bool) -> None:
    torch.manual_seed(0)
    network = Named(original(3, 8, 2, 2, down, up, dropout)).eval()
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    model = loaded(tmp_path / "latest_net_G.pth")
    assert model.family == "cut"
    assert (model.config.antialias, model.config.upsample) == (down, "blur" if up else "transposed")
    assert any("dropout" in note for note in model.info["notes"]) is dropout
    images = torch.rand(2, 3, 32, 44) * 2 - 1
    with torch.no_grad():
        assert (model.game.translate(images) - network(images)).abs().max() < 1e-5
        assert model.game.translate(images[:, :, :31, :30]).shape == (2, 3, 31, 30)


def cut_state() -> State:
    torch.manual_seed(0)
    return dict(Named(original(3, 4, 2, 2, True, True)).state_dict())


def batch_normed() -> State:
    state = {n: t for n, t in cut_state().items() if n not in ("model.1.bias",)}
    return state | {f"model.2.{part}": torch.ones(4) for part in ("weight", "bias", "running_mean", "running_var")}


CUTS = {
    "another filter": ({**cut_state(), "model.7.filt": torch.ones(8, 1, 3, 3) / 9}, "another filter"),
    "a filter of another size": ({**cut_state(), "model.7.filt": torch.ones(8, 1, 900, 900)}, "another filter"),
    "a filter that is none": ({**cut_state(), "model.7.filt": torch.ones(3)}, "another filter"),
    "batch norm": (batch_normed(), "CUT has batch norm"),
    "layers with gaps": ({n.replace("model.8.", "model.9."): t for n, t in cut_state().items()}, "another form"),
    "blocks with gaps": ({n.replace("model.13.", "model.14."): t for n, t in cut_state().items()}, "another form|gaps"),
    "its discriminator": ({"model.0.weight": torch.zeros(8, 3, 4, 4), "model.2.filt": filt(8, 1, 2, 1)}, "discriminator of CUT"),
    "its heads": ({"mlp_0.0.weight": torch.zeros(8, 3), "mlp_0.2.weight": torch.zeros(8, 8)}, "heads that CUT"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_what_is_no_generator_of_cut_is_refused(tmp_path: Path, name: str) -> None:
    state, reason = CUTS[name]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=reason):
        import_file(tmp_path / "x.pth")


# --- pix2pixHD ----------------------------------------------------------------------------------------------------


def label_map(labels: int, height: int = 64, width: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of labels, and of instances, uint8 and uint16 [H, W]."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, labels, (height // 16, width // 16)).repeat(16, 0).repeat(16, 1)
    instances = random.integers(0, 3, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1) + 1000 * coarse
    return coarse.astype(np.uint8), instances.astype(np.uint16)


def given(labels: np.ndarray, count: int, instances: np.ndarray | None) -> Tensor:
    """What pix2pixHD's network is given: planes of labels, and where a neighbour belongs to another instance."""
    planes = torch.zeros(1, count, *labels.shape)
    for number in range(count):
        planes[0, number] = torch.from_numpy(labels == number)
    if instances is None:
        return planes
    edges = torch.zeros(1, 1, *labels.shape)
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            for there in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= there[0] < height and 0 <= there[1] < width and instances[there] != instances[y, x]:
                    edges[0, 0, y, x] = 1
    return torch.cat([planes, edges], 1)


def network_of(kind: str, inputs: int) -> nn.Module:
    torch.manual_seed(0)
    if kind == "global":
        return Named(original(inputs, 4, 4, 2)).eval()
    return Local(inputs, 4, 3, 2, 2 if kind == "local of two" else 1).eval()


@pytest.mark.parametrize("kind", ["global", "local", "local of two"])
def test_pix2pixhd_of_pictures(tmp_path: Path, kind: str) -> None:
    network = network_of(kind, 3)
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    model = loaded(tmp_path / "latest_net_G.pth")
    assert model.config.generator == kind[:6].strip()
    images = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        assert (model.game.translate(images) - network(images)).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["global", "local"])
def test_label_maps_become_pictures(tmp_path: Path, kind: str, capsys: Any) -> None:
    network = network_of(kind, 13)
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    assert cli.main(["import", str(tmp_path / "latest_net_G.pth"), "--out", str(tmp_path / "model")]) == 0
    assert "12 labels and the borders of instances" in capsys.readouterr().err
    labels, instances = label_map(12)
    for folder, array, name in (("maps", labels, "street_labelIds"), ("inst", instances, "street_instanceIds")):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / f"{name}.png")
    words = ["apply", str(tmp_path / "model"), str(tmp_path / "maps"), "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--instances", str(tmp_path / "inst")]) == 0
    with torch.no_grad():
        expected, alone = (network(given(labels, 12, edges))[0].permute(1, 2, 0) for edges in (instances, labels))
    made = np.asarray(Image.open(tmp_path / "out" / "street_labelIds.png"))
    assert made.shape == (64, 96, 3)
    assert np.abs(made - (expected.numpy() + 1) * 127.5).max() <= 0.51
    assert cli.main([*words, "--overwrite"]) == 0  # without a map of instances
    assert "stand for those of instances" in capsys.readouterr().err
    made = np.asarray(Image.open(tmp_path / "out" / "street_labelIds.png"))
    assert np.abs(made - (alone.numpy() + 1) * 127.5).max() <= 0.51
    assert (alone - expected).abs().max() > 0.05


def test_a_palette_and_no_instances(tmp_path: Path) -> None:
    network = network_of("global", 5)
    torch.save(network.state_dict(), tmp_path / "g.pth")
    model = loaded(tmp_path / "g.pth", labels=5)
    assert (model.config.labels, model.config.instances) == (5, False)
    model.save(tmp_path / "model")
    labels, _ = label_map(5)
    picture = Image.fromarray(labels, "P")
    picture.putpalette([7 * i % 256 for i in range(768)])
    picture.save(tmp_path / "map.png")
    assert cli.main(["apply", str(tmp_path / "model"), str(tmp_path / "map.png"), "--out", str(tmp_path / "out")]) == 0
    with torch.no_grad():
        expected = network(given(labels, 5, None))[0].permute(1, 2, 0).numpy()
    made = np.asarray(Image.open(tmp_path / "out" / "map.png").convert("RGB"))
    assert np.abs(made - (expected + 1) * 127.5).max() <= 0.51


def test_tiles_of_a_label_map_agree_with_the_whole(tmp_path: Path) -> None:
    torch.save(network_of("global", 13).state_dict(), tmp_path / "g.pth")
    game = loaded(tmp_path / "g.pth").game
    labels, instances = label_map(12, 320, 640)
    edges = (borders(instances))[..., None]
    pixels = np.concatenate([labels[..., None], edges.astype(np.uint8) * 255], 2)
    whole, tiled = (translate_picture(game, pixels, tile=tile) for tile in (0, 384))
    assert np.abs(whole.astype(int) - tiled).mean() < 2
    assert whole.std() > 10


MISTAKES = {
    "a coloured picture": ("RGB", 3, "mode RGB"),
    "a label that is unknown": ("L", 40, "has the label 39, and the model knows 0 to 11"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_no_label_map_is_refused(tmp_path: Path, name: str, capsys: Any) -> None:
    mode, count, reason = MISTAKES[name]
    torch.save(network_of("global", 13).state_dict(), tmp_path / "g.pth")
    loaded(tmp_path / "g.pth").save(tmp_path / "model")
    labels = np.full((32, 32), count - 1, np.uint8)
    Image.fromarray(labels).convert(mode).save(tmp_path / "map.png")
    assert cli.main(["apply", str(tmp_path / "model"), str(tmp_path / "map.png"), "--out", str(tmp_path / "out")]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_label_maps_are_not_trained_on(tmp_path: Path, two_folders: tuple[Path, Path], capsys: Any) -> None:
    words = ["train", "pix2pix", "--data", *map(str, two_folders), "--labels", "5", "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--size", "32", "--steps", "1"]) == 2
    assert "painted in colours" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def hd_state() -> State:
    return dict(network_of("local", 13).state_dict())


WRONG = {
    "features of an encoder": (dict(network_of("global", 39).state_dict()), 0, "39 channels"),
    "labels that do not fit": (dict(network_of("global", 13).state_dict()), 7, "13 labels, or 12 and"),
    "labels for pictures": (dict(network_of("global", 3).state_dict()), 7, "takes pictures"),
    "enhancers with gaps": ({n.replace("model1_", "model2_"): t for n, t in hd_state().items()} | {"model1_1.1.weight": torch.zeros(4, 13, 7, 7)}, 0, "."),
    "no last layer": ({n: t for n, t in hd_state().items() if "model1_2.7" not in n}, 0, "not a convolution"),
    "a global part without blocks": ({n: t for n, t in hd_state().items() if not n.startswith("model.1")}, 0, "."),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_hostile_variants_of_pix2pixhd_are_refused(tmp_path: Path, name: str) -> None:
    state, labels, reason = WRONG[name]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=reason):
        loaded(tmp_path / "x.pth", labels)

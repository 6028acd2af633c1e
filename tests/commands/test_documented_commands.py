"""Every command of the README and the documentation is run: a few small pictures, small networks, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gansmith
from gansmith import cli, registry
from gansmith.models import bundle
from gansmith.nn.pix2pixhd import global_network
from gansmith.nn.resnet_generator import ResnetGenerator
from gansmith.nn.rrdb import RRDBNet
from helpers import reference_stylegan2 as reference
from helpers.docs import ROOT, arguments, commands
from helpers.pictures import picture, write_folder

PAGES = sorted({page for page, _ in commands() if not page.startswith("docs/results/") and ".zh" not in page})
"""Commands of results take hours; Chinese pages have the commands of the English ones."""
ELSEWHERE = (
    "studio",
    "toy stacked-mnist",
    "COMMAND",
    "train FAMILY",
    "train dcgan --data mnist10k --processes 4",
    "get ",
    "apply realesrgan",
    "apply runs/colorize old",
    "apply runs/inpaint clip",
)
"""Commands with tests of their own (a server, 25,600 samples, several processes, downloads, films), and those that only stand for others."""
TRAINED = "runs/r3gan-my-pictures-001"
RUNS = {"mix": "runs/faces", "edit": "runs/faces", "invert": "runs/faces", "apply": "runs/colorize-photos-001",
        "evaluate": "runs/gan-mnist10k-001"}  # fmt: skip
"""What the README's RUN stands for; elsewhere the r3gan that it trains."""
TINY_RUN = "--batch 4 --snapshots 1 --steps 2"
SMALLER = {
    "film": "--seconds 0.5 --fps 4",
    "walk": "--seconds 0.5 --fps 4 --tiles 1 --points 2",
    "invert": "--steps 2",
    "augment": "--steps 2 --batch 4 --width 16 --latent-dim 8 --no-agreement --no-duplicates --no-outliers --classifier tiny "
    "--classifier-steps 2 --seeds 2",
    "study": "--classifier tiny --classifier-steps 2 --seeds 2",
    "evaluate": "--n 120",
    "toy": "--seeds 1 --images 512",
}
"""What is added to a command so that it takes seconds."""


def tiny(family: str, given: list[str]) -> list[str]:
    """The settings that make a family's networks small, as flags; those that are given stay."""
    settings = {f"--{name.replace('_', '-')}": str(value) for name, value in registry.named(family).tiny.items()}
    return [word for flag, value in settings.items() if flag not in given for word in (flag, value)]


def small(words: list[str]) -> list[str]:
    """A command's words, for small networks and few steps."""
    command = words[0]
    words = [RUNS.get(command, TRAINED) if word == "RUN" else word for word in words]
    if command == "sample":
        return re.sub(r"--n \d{3,}", "--n 12", " ".join(words)).split()
    if command == "evaluate":  # windows of photographs are counted otherwise than samples
        return words if "photographs" in words else words + SMALLER[command].split()
    if command == "invert":
        words = re.sub(r"--tune \d+", "--tune 2", " ".join(words)).split()
    if command != "train":
        return words + SMALLER.get(command, "").split()
    if "--resume" in words:
        return [*words, "--steps", "3"]
    words = re.sub(r" --(steps|size|minutes|width) \d+", "", " ".join(words)).split()
    size = [] if "mnist10k" in words else ["--size", "32"]
    family = (
        "r3gan" if words[1].startswith("-") else words[1]
    )  # which suits labelled or grey pictures, and few colour ones
    return [*words, *TINY_RUN.split(), *size, *tiny(family, words)]


def furnish(root: Path, page: str) -> None:
    """Everything that a page's commands name and do not make."""
    folders = "my_pictures horses zebras inputs targets photos colour_photographs photographs shoes maps day night"
    folders += " pictures" if page == "README.md" else ""  # elsewhere the name of what is made
    for number, name in enumerate(folders.split()):
        size, suffix = (64 if "photo" in name else 32), ("jpg" if name == "pictures" else "png")
        write_folder(root / name, 12, size=size, first=7 * number, suffix=suffix)
    for name in ("labelled", "scans"):
        for number, count in enumerate((16, 16, 12)):
            write_folder(root / name / "abc"[number], count, first=40 * number)
    wide = np.concatenate([picture(i, 160, 3) for i in range(2)], 1)
    for name in ["face.png", "photo.jpg", "old.jpg", "drawing.png", "street.jpg", "night.jpg", "small.jpg"]:
        Image.fromarray(wide).save(root / name)
    mask = np.zeros(wide.shape[:2], np.uint8)
    mask[40:90, 60:120] = 255
    Image.fromarray(mask).save(root / "mask.png")
    narrow = {"channel_base": 256, "channel_max": 8}
    generator = reference.Generator(8, 0, 8, 32, 3, mapping_kwargs={"num_layers": 2}, synthesis_kwargs=narrow)
    for name in ("ffhq.pkl", "stylegan2-ffhq.pkl"):
        reference.write_pickle(root / name, {"G_ema": generator})
    torch.save(ResnetGenerator(3, 3, 8, 6).state_dict(), root / "horse2zebra.pth")
    torch.save(
        {f"netG_{way}": ResnetGenerator(3, 3, 8, 2).state_dict() for way in ("A2B", "B2A")}, root / "checkpoint.pth"
    )
    hd = global_network(13, 3, 4, 1, 3, "instance")
    torch.save(hd.state_dict(), root / "latest_net_G.pth")
    for name in ("labels", "instances"):
        (root / name).mkdir()
        Image.fromarray(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 12).save(root / name / "street.png")
    if page == "docs/applications/inpaint.md":  # a folder of a catalogue's name goes first
        lama = gansmith.build("inpaint", size=32, channels=3, arch="ffc", width=8, blocks=18)
        bundle.Model("inpaint", bundle.averaged_copy(lama)).save(root / "big-lama")
    torch.save({"params_ema": RRDBNet(blocks=1).state_dict()}, root / "RealESRGAN_x4plus.pth")
    text = "\n".join(line for found, line in commands() if found == page)
    for run, family in (("runs/faces", "stylegan2"), ("runs/digits", "gan")):
        needed = run in text or (page == "README.md" and family == "stylegan2")
        if needed and f"train {family}" not in text:
            words = ["train", family, "--data", "my_pictures", "--out", run, *TINY_RUN.split(), *tiny(family, [])]
            assert cli.main(words) == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    furnish(tmp_path, page)
    for line in [line for found, line in commands() if found == page]:
        words = arguments(line)
        if "--help" in words or " ".join(words).startswith(ELSEWHERE):
            continue
        capsys.readouterr()
        code = cli.main(small(words))
        assert code == 0, f"{line}\n{capsys.readouterr().err[-2000:]}"
        out = words[words.index("--out") + 1].replace("RUN", TRAINED) if "--out" in words else "."
        assert Path(out).exists(), line

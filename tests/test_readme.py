"""Every command of the README is run, on a few small pictures and with small networks, in the order in which it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import reference_stylegan2 as reference
from conftest import write_folder
from gansmith import cli, registry
from test_docs import arguments, commands

LINES = [line for page, line in commands() if page == "README.md"]
TINY_RUN = "--batch 4 --snapshots 1 --steps 2"
SMALLER = {
    "walk": "--seconds 0.5 --fps 4 --tiles 1 --points 2",
    "invert": "--steps 2",
    "augment": "--steps 2 --batch 4 --width 16 --latent-dim 8 --no-agreement --no-duplicates --no-outliers",
    "study": "--classifier tiny --classifier-steps 2 --seeds 2",
    "evaluate": "--n 120",
    "toy": "--seeds 1 --images 512",
}
"""What is added to a command so that it takes seconds."""
RUNS = {
    "mix": "styles",
    "edit": "styles",
    "invert": "styles",
    "apply": "runs/colorize-photos-001",
    "evaluate": "runs/gan-mnist10k-001",
}
"""What RUN stands for; elsewhere the dcgan that the README trains."""
MADE = {
    "sample": "grid.png",
    "walk": "walk.mp4",
    "mix": "mix.png",
    "edit": "edit.png",
    "invert": "inverted/before-after.png",
    "apply": "fixed/000.jpg",
    "augment": "synthetic/manifest.csv",
    "import": "model/model.safetensors",
    "export": "model.onnx",
}
"""What is there afterwards, where it is a file."""


def tiny(family: str) -> list[str]:
    """The settings that make a family's networks small, as flags."""
    return [
        word
        for name, value in registry.family(family).tiny.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def small(words: list[str]) -> list[str]:
    """A command's words, for small networks and few steps."""
    command = words[0]
    words = [RUNS.get(command, "runs/dcgan-my-pictures-001") if word == "RUN" else word for word in words]
    if command != "train":
        return words + SMALLER.get(command, "").split()
    if "--resume" in words:
        return [*words, "--steps", "3"]
    line = re.sub(r" --(steps|size) \d+", "", " ".join(words))
    size = [] if "mnist10k" in line else ["--size", "32"]
    return [*line.split(), *TINY_RUN.split(), *size, *tiny(words[1])]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the README's commands name."""
    root = tmp_path_factory.mktemp("readme")
    for number, name in enumerate(("my_pictures", "horses", "zebras", "inputs", "targets", "photos")):
        write_folder(root / name, 12, size=64 if name == "photos" else 32, first=7 * number)
    for number, count in enumerate((16, 16, 12)):
        write_folder(root / "labelled" / "abc"[number], count, first=40 * number)
    write_folder(root / "pictures", 2, suffix="jpg")
    (write_folder(root / "face", 1) / "000.png").rename(root / "face.png")
    narrow = {"channel_base": 256, "channel_max": 8}
    generator = reference.Generator(8, 0, 8, 32, 3, mapping_kwargs={"num_layers": 2}, synthesis_kwargs=narrow)
    reference.write_pickle(root / "ffhq.pkl", {"G_ema": generator})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        styles = [
            "train",
            "stylegan2",
            "--data",
            "my_pictures",
            "--out",
            "styles",
            *TINY_RUN.split(),
            *tiny("stylegan2"),
        ]
        assert cli.main(styles) == 0
    return root


def test_every_command_of_the_readme_runs(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    done = []
    for line in LINES:
        words = arguments(line)
        if words[0] in ("COMMAND", "studio") or "--help" in words:  # the studio has tests of its own
            continue
        code = cli.main(small(words))
        said = capsys.readouterr()
        assert code == 0, f"{line}\n{said.err[-2000:]}"
        if words[0] in MADE:
            assert (workspace / MADE[words[0]]).is_file(), line
        done.append(words[0])
    assert done.count("train") >= 10
    assert set(done) >= {*SMALLER, *MADE, "runs", "data"}

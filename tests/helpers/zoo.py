"""Things that people hand to commands: good ones of every kind, and wrong, empty, cut, misnamed and damaged ones."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from gansmith import cli
from helpers.models import tiny_model
from helpers.pictures import picture, pictures, write_folder


@dataclass(frozen=True)
class Thing:
    """Something that can stand in a command line.

    Attributes:
        word: as it is written there.
        kinds: what it may honestly be taken for; a command that needs none of them must refuse it.
        odd: some commands may read it all the same, so nothing is said about what must happen.
    """

    word: str
    kinds: frozenset[str]
    odd: bool = False


SIDE = 16
_WORDS = (
    "", " ", "nowhere", "nowhere/at/all", "./nowhere.png", "~/nowhere", "$HOME", "*", "[a-z", "no*such.png", "-", "--", "mnist9k", "mnist10k[5:2]",
    "mnist10k[x]", "mnist10k[:0]", "idx:nowhere", "shards:nowhere", "shards:{000..", "parquet:nowhere", "hf:", "hf:///", "user/name/more", "http://[", "file:///nowhere",
    "a\nb", "\x1b[31mred", "\u202egnp.exe", "naïve-猫.png", "x" * 300, "y/" * 3000, "\udcff.png", "con", "0", "NaN", "None", "{}", "'", '"',
)  # fmt: skip
"""Words that are no file anywhere."""


def build(root: Path) -> list[Thing]:
    """Make everything under ``root``."""
    things = [*_words(), *_models(root / "models"), *_data(root / "data"), *_files(root / "files")]
    things += [
        *_names(root / "names"),
        *_runs(root / "runs"),
        *_weights(root / "weights"),
        *_documents(root / "documents"),
    ]
    return things


def _thing(path: Path, *kinds: str, odd: bool = False) -> Thing:
    return Thing(str(path), frozenset(kinds), odd)


def _words() -> list[Thing]:
    return [Thing(word, frozenset(), odd=word in ("*", "~/nowhere")) for word in _WORDS]


def _models(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    made = []
    kinds = {"gan": "generator", "stylegan2": "stylegan2", "pix2pix": "translator", "upscale": "translator", "inpaint": "filler", "sketch": "translator",
             "colorize": "translator", "cyclegan": "translator"}  # fmt: skip
    for family, kind in kinds.items():
        model = tiny_model(family, size=SIDE if kind in ("generator", "stylegan2") else 32)
        model.save(root / family)
        also = ("generator",) if kind == "stylegan2" else ("translator",) if kind == "filler" else ()
        made.append(_thing(root / family, kind, "model", *also))
    damage: dict[str, Callable[[Path], object]] = {
        "no-weights": lambda folder: (folder / "model.safetensors").unlink(),
        "no-config": lambda folder: (folder / "config.json").unlink(),
        "cut-weights": lambda folder: _cut(folder / "model.safetensors"),
        "empty-weights": lambda folder: (folder / "model.safetensors").write_bytes(b""),
        "not-json": lambda folder: (folder / "config.json").write_text("{"),
        "deep-json": lambda folder: (folder / "config.json").write_text('{"a":' + "[" * 100_000),
        "list-json": lambda folder: (folder / "config.json").write_text("[1, 2]"),
        "folder-json": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        "another-family": lambda folder: _change(folder, family="nowhere"),
        "a-module": lambda folder: _change(folder, family="os.path"),
        "huge-spec": lambda folder: _change(
            folder, spec={"height": 10**9, "width": 10**9, "channels": 3, "classes": 0}
        ),
        "huge-width": lambda folder: _change(folder, settings={"width": 10**9}),
        "wrong-width": lambda folder: _change(folder, settings={"width": 4}),
        "huge-number": lambda folder: (folder / "config.json").write_text('{"format": ' + "9" * 5000 + "}"),
        "nan-weights": lambda folder: _spoil(folder / "model.safetensors"),
    }
    for name, spoil in damage.items():
        folder = shutil.copytree(root / "gan", root / name)
        spoil(folder)
        made.append(_thing(folder))
    return made


def _change(folder: Path, **entries: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _spoil(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    for tensor in tensors.values():
        tensor.view(-1)[:1] = float("nan")
    safetensors.torch.save_file(tensors, path)


def _data(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    folder = write_folder(root / "folder", 48, SIDE)
    for name in ("a", "b"):
        write_folder(root / "classes" / name, 24, SIDE, first=50 if name == "b" else 0)
    np.savez(root / "set.npz", x=pictures(48, SIDE), y=np.arange(48) % 3)
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    (root / "empty").mkdir()
    (root / "texts").mkdir()
    (root / "texts" / "a.txt").write_text("no picture")
    (root / "broken").mkdir()
    for i in range(12):
        (root / "broken" / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    write_folder(root / "one", 1, SIDE)
    with zipfile.ZipFile(root / "empty.zip", "w"):
        pass
    (root / "cut.zip").write_bytes((root / "set.zip").read_bytes()[:-300])
    with zipfile.ZipFile(root / "outside.zip", "w") as archive:
        archive.write(folder / "000.png", "../../outside.png")
    np.savez(root / "objects.npz", x=np.array([{"a": 1}], dtype=object))
    np.savez(root / "floats.npz", x=np.full((40, SIDE, SIDE), np.nan))
    np.savez(root / "labels.npz", x=pictures(48, SIDE), y=np.arange(7))
    np.savez(root / "no-x.npz", z=pictures(4, SIDE))
    np.save(root / "line.npy", np.arange(10))
    (root / "cut.npz").write_bytes((root / "set.npz").read_bytes()[:-200])
    (root / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x10\0\0\0\x10")
    (root / "cut.tar").write_bytes(b"a.png" + bytes(600))
    (root / "cut.parquet").write_bytes(b"PAR1" + bytes(100))
    bad = ("empty", "texts", "broken", "empty.zip", "cut.zip", "outside.zip", "objects.npz", "floats.npz", "labels.npz", "no-x.npz", "line.npy", "cut.npz",
           "train-images-idx3-ubyte", "cut.tar", "cut.parquet")  # fmt: skip
    return [
        _thing(folder, "data", "pictures"),
        _thing(root / "classes", "data", "classes", "pictures"),
        _thing(root / "set.npz", "data", "classes"),
        _thing(root / "set.zip", "data", "pictures"),
        _thing(root / "one", "pictures", odd=True),
        *(_thing(root / name, odd=name in ("outside.zip", "labels.npz")) for name in bad),
    ]


def _files(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    array = picture(3, 32, 3)
    Image.fromarray(array).save(root / "good.png")
    Image.fromarray(array).save(root / "good.jpg")
    Image.fromarray(array[..., 0]).save(root / "grey.png")
    Image.fromarray(array[..., 0].astype(np.uint16) * 257).save(root / "deep.png")
    Image.fromarray(np.where(array[..., :1] > 60, 255, 0).astype(np.uint8)[..., 0]).save(root / "mask.png")
    Image.fromarray(array).save(root / "clip.gif", save_all=True, append_images=[Image.fromarray(array[::-1].copy())])
    Image.new("RGB", (1, 1)).save(root / "dot.png")
    _cut(Path(shutil.copy(root / "good.png", root / "cut.png")))
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("no picture")
    (root / "text.txt").write_text("no picture")
    (root / "noise.bin").write_bytes(np.random.default_rng(0).bytes(4000))
    (root / "movie.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(400))
    content = bytearray((root / "good.png").read_bytes())
    content[16:24] = b"\0\xff\xff\xff\0\xff\xff\xff"  # says that it is 16,777,215 pixels wide and high
    (root / "huge.png").write_bytes(content)
    (root / "weights.npz").write_bytes(b"PK\3\4" + bytes(50))
    good = ("good.png", "good.jpg", "grey.png", "deep.png", "mask.png")
    bad = ("cut.png", "empty.png", "text.png", "text.txt", "noise.bin", "movie.mp4", "huge.png", "weights.npz")
    return [
        *(_thing(root / name, "picture", "pictures", *(("mask",) if name == "mask.png" else ())) for name in good),
        _thing(root / "clip.gif", "picture", "pictures", odd=True),
        _thing(root / "dot.png", "picture", "pictures", odd=True),
        *(_thing(root / name) for name in bad),
        _thing(root / "good.png" / "below" / "a.png"),
    ]  # fmt: skip


def _names(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    made = []
    for name in (
        "naïve 猫.png",
        "two\nlines.png",
        "escape\x1b[31m.png",
        "-dash.png",
        "\udcff.png",
        "a,b.png",
        "[1].png",
        "{x}.png",
        "'\".png",
        "\u202e.png",
    ):
        Image.fromarray(picture(3, 32, 3)).save(root / "made.png")
        (root / "made.png").rename(root / name)
        made.append(_thing(root / name, "picture", "pictures", odd=True))
    return made


def _runs(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    data = root.parent / "data" / "set.npz"
    code = cli.main(["train", "gan", "--data", str(data), "--out", str(root / "gan"), "--conditional", "--steps", "4", "--batch", "4", "--width", "8",
                     "--latent-dim", "8", "--snapshots", "2"])  # fmt: skip
    assert code == 0
    made = [_thing(root / "gan", "run", "generator", "model"), _thing(root, "runs", odd=True)]
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    texts = {"empty-yaml": "", "not-yaml": "a: [", "list-yaml": "- 1\n- 2", "bomb-yaml": bomb, "date-yaml": "family: 2026-11-30", "tag-yaml": "!!python/object:os.path {}",
             "deep-yaml": "[" * 50_000, "digits-yaml": "format: " + "9" * 6000, "binary-yaml": "\x00\x01", "family-yaml": "family: os\nsettings: {}\ntrain: {}\nfacts: {}\n"}  # fmt: skip
    damage: dict[str, Callable[[Path], object]] = {
        "no-yaml": lambda run: (run / "config.yaml").unlink(),
        "no-log": lambda run: (run / "log.jsonl").unlink(),
        "log-rubbish": lambda run: (run / "log.jsonl").write_bytes(b"\xff\x00{\n[[[\n3\n"),
        "no-model": lambda run: shutil.rmtree(run / "model"),
        "model-file": lambda run: (shutil.rmtree(run / "model"), (run / "model").write_text("x")),
        "no-checkpoint": lambda run: shutil.rmtree(run / "checkpoint"),
        "cut-checkpoint": lambda run: [_cut(file) for file in (run / "checkpoint").rglob("*") if file.is_file()],
        "empty-checkpoint": lambda run: [file.write_bytes(b"") for file in (run / "checkpoint").rglob("*") if file.is_file()],
        "no-samples": lambda run: shutil.rmtree(run / "samples"),
        "sample-rubbish": lambda run: [file.write_bytes(b"x") for file in (run / "samples").iterdir() if file.is_file()],
        "yaml-folder": lambda run: ((run / "config.yaml").unlink(), (run / "config.yaml").mkdir()),
        **{name: (lambda run, text=text: (run / "config.yaml").write_text(text)) for name, text in texts.items()},
    }  # fmt: skip
    harmless = {
        "no-log",
        "log-rubbish",
        "no-checkpoint",
        "cut-checkpoint",
        "empty-checkpoint",
        "no-samples",
        "sample-rubbish",
        "no-model",
        "model-file",
    }
    for name, spoil in damage.items():
        run = shutil.copytree(root / "gan", root / name)
        spoil(run)
        made.append(_thing(run, odd=name in harmless or (run / "model").is_dir()))
    (root / "empty-run").mkdir()
    made.append(_thing(root / "empty-run"))
    return made


def _weights(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    from gansmith.nn.srvgg import SRVGGNet

    torch.manual_seed(0)
    state = SRVGGNet(3, 2, 8, 1).state_dict()
    torch.save({"params": state}, root / "good.pth")
    torch.save({"a": torch.zeros(3)}, root / "unknown.pth")
    torch.save(list(range(5)), root / "list.pth")
    torch.save(torch.nn.Linear(2, 2), root / "module.pth")
    safetensors.torch.save_file({"a": torch.zeros(3)}, root / "unknown.safetensors")
    _cut(Path(shutil.copy(root / "good.pth", root / "cut.pth")))
    (root / "attack.pth").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    (root / "lfs.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    (root / "page.pth").write_text("<!DOCTYPE html><html>")
    scripted = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), scripted)
    (root / "script.pt").write_bytes(scripted.getvalue())
    bad = (
        "unknown.pth",
        "list.pth",
        "module.pth",
        "unknown.safetensors",
        "cut.pth",
        "attack.pth",
        "lfs.pth",
        "page.pth",
        "script.pt",
    )
    return [_thing(root / "good.pth", "weights"), *(_thing(root / name) for name in bad)]


def _documents(root: Path) -> list[Thing]:
    root.mkdir(parents=True)
    data = root.parent / "data" / "folder"
    (root / "good.yaml").write_text(f"family: gan\ndata: {data}\nbatch: 4\nwidth: 8\nlatent_dim: 8\nsteps: 2\n")
    texts = {"unknown.yaml": "family: gan\nwdith: 8", "type.yaml": "family: gan\nwidth: [1]", "none.yaml": "family: gan\nwidth: null", "both.yaml": "family: gan\nsteps: 2\nimages: 3",
             "list.yaml": "- a", "cut.yaml": "family: [gan", "date.yaml": "family: gan\nseed: 2026-11-30", "tag.yaml": "!!python/object/apply:os.system [touch owned]",
             "nan.yaml": "family: gan\nlr: .nan", "huge.yaml": "family: gan\nseed: " + "9" * 6000, "empty.yaml": "", "deep.yaml": "{a: " * 20_000}  # fmt: skip
    for name, text in texts.items():
        (root / name).write_text(text)
    return [_thing(root / "good.yaml", "config"), *(_thing(root / name) for name in texts)]

"""Bad input gets one clear paragraph and exit code 2; good input does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import pictures, write_folder
from gansmith import cli


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished tiny conditional run."""
    root = tmp_path_factory.mktemp("runs")
    np.savez(root / "data.npz", x=pictures(30, 16, 1)[..., 0], y=np.arange(30) % 3)
    assert train(root, "--data", str(root / "data.npz"), "--conditional") == 0
    return root / "run"


def train(root: Path, *more: str, family: str = "gan") -> int:
    return cli.main(
        [
            "train",
            family,
            "--out",
            str(root / "run"),
            "--steps",
            "3",
            "--batch",
            "4",
            "--width",
            "8",
            "--snapshots",
            "1",
            *more,
        ]
    )


def fails(capsys, argv: list[str], *words: str) -> None:
    capsys.readouterr()
    try:
        code = cli.main(argv)
    except SystemExit as stop:  # the flag parser ends by itself
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err + said.out, said.err + said.out


def test_sample_writes_grid_folder_and_npz(run, tmp_path):
    assert cli.main(["sample", str(run), "--n", "6", "--out", str(tmp_path / "grid.png")]) == 0
    assert Image.open(tmp_path / "grid.png").width > 3 * 16
    assert cli.main(["sample", str(run), "--n", "6", "--class", "2", "--out", str(tmp_path / "folder")]) == 0
    assert len(list((tmp_path / "folder" / "2").glob("*.png"))) == 6
    for name in ("a", "b"):
        assert cli.main(["sample", str(run), "--n", "6", "--seed", "4", "--out", str(tmp_path / f"{name}.npz")]) == 0
    one, two = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    assert one["x"].shape == (6, 16, 16)
    assert one["x"].dtype == np.uint8
    assert one["y"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.array_equal(one["x"], two["x"])


def test_seeds_name_pictures(run, tmp_path):
    assert cli.main(["sample", str(run), "--seeds", "3,5-6", "--class", "0", "--out", str(tmp_path / "a.npz")]) == 0
    assert cli.main(["sample", str(run), "--seeds", "5", "--class", "0", "--out", str(tmp_path / "b.npz")]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npz")["x"][1], np.load(tmp_path / "b.npz")["x"][0])


def test_walk_loops(run, tmp_path):
    out = tmp_path / "walk.gif"
    assert (
        cli.main(["walk", str(run), "--out", str(out), "--seconds", "1", "--fps", "8", "--tiles", "2", "--points", "3"])
        == 0
    )
    assert Image.open(out).n_frames == 8


def test_runs_lists_them(run, capsys):
    assert cli.main(["runs", str(run.parent), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["family"], row["images"], row["status"]) for row in rows] == [("gan", 12, "finished")]


def test_config_file_and_flags(tmp_path):
    np.savez(tmp_path / "data.npz", x=pictures(12, 16, 1)[..., 0])
    (tmp_path / "c.yaml").write_text(
        f"family: gan\ndata: {tmp_path / 'data.npz'}\nsteps: 2\nbatch: 4\nwidth: 8\nlr: 1e-3\n"
    )
    assert (
        cli.main(["train", "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), "--width", "4"]) == 0
    )
    import yaml

    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (saved["settings"]["width"], saved["settings"]["lr"], saved["train"]["steps"]) == (4, 1e-3, 2)
    again = cli.main(["train", "--config", str(tmp_path / "run" / "config.yaml"), "--out", str(tmp_path / "again")])
    assert again == 0


def test_longer_resume(run, tmp_path):
    import shutil

    shutil.copytree(run, tmp_path / "run")
    assert cli.main(["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "5"]) == 0
    assert [json.loads(line)["images"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()][-1] == 20


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nonsense"], ["no command 'nonsense'", "train"]),
        (["trian"], ["Did you mean 'train'"]),
        (["train"], []),
        (["train", "dcgam"], ["Did you mean 'dcgan'"]),
        (["train", "no.such.module"], ["No module named"]),
        (["train", "gan", "--nonsense", "3"], ["--nonsense"]),
        (["train", "gan", "--steps", "many"], ["--steps"]),
        (["train", "gan", "--steps", "3", "--minutes", "1"], ["one of"]),
        (["train", "gan", "--batch", "-1"], ["cannot be negative"]),
        (["train", "gan", "--size", "7"], ["too small"]),
        (["train", "gan", "--data", "no/such/path"], ["no/such/path"]),
        (["train", "gan", "--data", "mnist10"], ["mnist10k"]),
        (["train", "--resume"], ["--out"]),
        (["train", "--resume", "--out", "no/run"], ["does not exist"]),
        (["train", "--config", "no.yaml"], ["no.yaml"]),
        (["sample", "no/such/model"], ["no/such/model"]),
        (["sample", "x", "--n", "0"], ["--n"]),
        (["sample", "x", "--seeds", "a-b"], ["--seeds"]),
        (["sample", "x", "--out", "a.docx"], ["--out"]),
        (["walk", "x", "--out", "a.png"], [".mp4"]),
        (["runs", "no/such/folder"], ["no/such/folder"]),
    ],
)
def test_bad_words(capsys, argv, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if argv == ["train"]:
        assert cli.main(argv) == 0
        assert "FAMILY is one of" in capsys.readouterr().out
    else:
        fails(capsys, argv, *words)
        assert not list(tmp_path.iterdir())


def test_bad_data(capsys, tmp_path):
    write_folder(tmp_path / "plain", 8, 16)
    (tmp_path / "empty").mkdir()
    fails(capsys, ["train", "dcgan", "--data", str(tmp_path / "plain"), "--size", "300"], "16 to 256")
    common = ["--out", str(tmp_path / "run"), "--steps", "2", "--batch", "4"]
    fails(capsys, ["train", "gan", "--data", str(tmp_path / "empty"), *common], "empty")
    fails(capsys, ["train", "gan", "--data", str(tmp_path / "plain"), "--conditional", *common], "no labels")
    fails(
        capsys, ["train", "gan", "--data", str(tmp_path / "plain"), str(tmp_path / "plain"), *common], "--data names 2"
    )
    for i in range(3):
        (tmp_path / "plain" / f"text{i}.png").write_text("no picture")
    fails(capsys, ["train", "gan", "--data", str(tmp_path / "plain"), *common], "3 of 11", "text0.png")
    assert not (tmp_path / "run").exists()


def test_one_corrupt_picture_is_skipped_and_listed(capsys, tmp_path):
    folder = write_folder(tmp_path / "pictures", 20, 16, suffix="jpg")
    (folder / "bad.jpg").write_bytes((folder / "000.jpg").read_bytes()[:200])
    assert train(tmp_path, "--data", str(folder)) == 0
    assert capsys.readouterr().err.count("bad.jpg") == 1
    assert "bad.jpg" in (tmp_path / "run" / "skipped.tsv").read_text()


def test_bad_runs_and_models(capsys, run, tmp_path):
    import shutil

    import safetensors.torch
    import torch

    data = str(run.parent / "data.npz")
    fails(capsys, ["train", "gan", "--data", data, "--out", str(run)], "exists already", "--resume")
    fails(capsys, ["train", "--resume", "--out", str(run), "--lr", "0.5"], "keeps its settings", "--lr")
    fails(capsys, ["train", "dcgan", "--resume", "--out", str(run)], "'gan'")
    fails(capsys, ["sample", str(run), "--class", "11"], "no class '11'")
    for name, words in (("model.safetensors", "incomplete"), ("config.json", "config.json")):
        shutil.copytree(run / "model", tmp_path / name)
        (tmp_path / name / name).unlink()
        fails(capsys, ["sample", str(tmp_path / name)], words)
    tampered = shutil.copytree(run / "model", tmp_path / "tampered")
    tensors = safetensors.torch.load_file(tampered / "model.safetensors")
    key = next(iter(tensors))
    safetensors.torch.save_file(tensors | {key: torch.zeros(3, 3)}, tampered / "model.safetensors")
    fails(capsys, ["sample", str(tampered)], "do not fit", key)
    (tampered / "model.safetensors").write_bytes(b"rubbish")
    fails(capsys, ["sample", str(tampered)], "cannot be read")


def test_changed_data_is_noticed(capsys, tmp_path):
    np.savez(tmp_path / "data.npz", x=pictures(12, 16, 1)[..., 0])
    assert train(tmp_path, "--data", str(tmp_path / "data.npz")) == 0
    np.savez(tmp_path / "data.npz", x=pictures(13, 16, 1)[..., 0])
    fails(capsys, ["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "5"], "data has changed")


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(Exception, match="no/such"):
        cli.main(["train", "gan", "--data", "no/such", "--out", str(tmp_path / "x"), "--debug"])

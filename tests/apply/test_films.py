"""Films and animations through apply: every frame, the sound in sync, the rate exact, and nothing lost by an interruption."""

from __future__ import annotations

import itertools
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gansmith
from gansmith.apply import films as films_module
from gansmith.apply.films import Work, apply_to_film
from gansmith.apply.steady import Steady
from gansmith.cli import main
from gansmith.errors import GansmithError
from gansmith.files.film import Film, ffmpeg, films_among, frames, probe
from gansmith.files.film_writing import suffix_for
from gansmith.models.bundle import Model
from gansmith.translation import Translation


def run(*words: str | Path) -> bytes:
    done = subprocess.run([ffmpeg(), "-nostdin", "-v", "error", "-y", *map(str, words)], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def clip(
    path: Path,
    *,
    rate: str = "25",
    seconds: float = 1.0,
    size: str = "64x48",
    sound: bool = True,
    words: tuple[str, ...] = (),
) -> Path:
    """A film of moving shapes, with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100") if sound else ()
    run(
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={size}:rate={rate}",
        *tone,
        "-t",
        str(seconds),
        "-pix_fmt",
        "yuv420p",
        *words,
        path,
    )
    return path


class Twice(Translation):
    """Every pixel four times: a model whose result is known."""

    Config = type(gansmith.build("upscale", size=32, channels=3, width=8, blocks=1).config)
    scale = 2
    exports = ()
    players = {}
    repairs = True

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.bias = torch.nn.Parameter(torch.zeros(1))


def twice(frame: Image.Image, mask: Any) -> Image.Image:
    return frame.resize((frame.width * 2, frame.height * 2), Image.Resampling.NEAREST)


def work(**settings: Any) -> Work:
    return Work(Twice(), twice, **{"steady": False, **settings})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny upscaler, x2, as a folder."""
    torch.manual_seed(0)
    game = gansmith.build("upscale", size=32, channels=3, scale=2, network="compact", width=8, blocks=1)
    delattr(game, "discriminator")
    folder = tmp_path_factory.mktemp("model") / "m"
    Model("upscale", game.eval()).save(folder)
    return folder


def decoded(path: Path) -> np.ndarray:
    film = probe(path)
    return np.stack(list(frames(film)))


# --- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "suffix"),
    [
        ("24000/1001", "mp4"),
        ("25", "mkv"),
        ("30000/1001", "mkv"),
        ("12.5", "mp4"),
        ("60", "mov"),
        ("30", "webm"),
        ("24", "avi"),
    ],
)
def test_rates_are_found_exactly(rate: str, suffix: str, tmp_path: Path):
    film = probe(
        clip(
            tmp_path / f"a.{suffix}",
            rate=rate,
            seconds=1.2,
            sound=False,
            words=("-deadline", "realtime") if suffix == "webm" else (),
        )
    )
    assert film.rate == Fraction(rate)
    assert film.frames == round(Fraction(rate) * Fraction(6, 5))
    assert (film.width, film.height, film.sound, film.steady) == (64, 48, False, True)
    assert sum(1 for _ in frames(film)) == film.frames
    assert sum(1 for _ in frames(film, 5)) == film.frames - 5


def test_turned_films_are_read_upright(tmp_path: Path):
    clip(tmp_path / "a.mp4", sound=False)
    run("-display_rotation:v:0", "90", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    film = probe(tmp_path / "b.mp4")
    assert (film.width, film.height) == (48, 64)
    assert next(frames(film)).shape == (64, 48, 3)


# --- frames in, frames out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "webm"])
def test_frames_rate_and_sound_are_kept(suffix: str, tmp_path: Path):
    source = clip(
        tmp_path / "in" / f"a.{suffix}", rate="24000/1001", words=("-deadline", "realtime") if suffix == "webm" else ()
    )
    (tmp_path / "out").mkdir()
    target = apply_to_film(work(), source, tmp_path / "out")
    assert target == tmp_path / "out" / f"a.{suffix}"
    before, after = probe(source), probe(target)
    assert (after.width, after.height, after.rate, after.frames, after.sound) == (
        128,
        96,
        before.rate,
        before.frames,
        True,
    )
    small = decoded(target)[:, ::2, ::2].astype(float)
    assert np.abs(small - decoded(source)).mean() < 6  # but for what two encodings lose
    sound = ("-map", "0:a", "-c", "copy", "-f", "md5", "-")
    assert run("-i", source, *sound) == run("-i", target, *sound)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [target.name]


def test_sound_and_pictures_stay_together(tmp_path: Path):
    """A white frame and a click at 1.2 s of a film whose sound begins earlier than its pictures."""
    flash = "color=black:size=64x48:rate=25,drawbox=x=0:y=0:w=64:h=48:color=white:t=fill:enable='between(t,1.2,1.239)'"
    click = "aevalsrc='if(between(t,1.2,1.24),sin(2*PI*1000*t),0)':s=48000"
    run("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", click, "-t", "2", "-pix_fmt", "yuv420p", tmp_path / "raw.mp4")
    # pictures .4 s late, as in films that were cut without encoding them anew
    run("-itsoffset", "0.4", "-i", tmp_path / "raw.mp4", "-itsoffset", "0.4", "-i", tmp_path / "raw.mp4", "-f", "lavfi", "-i",
        "sine=frequency=50:sample_rate=48000,volume=0", "-filter_complex", "[1:a]adelay=400[x];[2:a][x]amix=inputs=2:duration=longest[a]",
        "-map", "0:v", "-map", "[a]", "-c:v", "copy", "-t", "2.4", tmp_path / "a.mp4")  # fmt: skip
    (tmp_path / "out").mkdir()
    target = apply_to_film(work(), tmp_path / "a.mp4", tmp_path / "out")
    light = decoded(target).mean((1, 2, 3))
    shown = int(light.argmax()) / 25
    wave = np.frombuffer(
        run("-i", target, "-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", "48000", "-"), np.int16
    ).astype(float)
    heard = int((np.abs(wave) > 0.3 * np.abs(wave).max()).argmax()) / 48_000
    assert abs(shown - heard) < 0.045
    assert 1.5 < shown < 1.7


def test_frames_of_different_lengths_keep_their_time(tmp_path: Path):
    clip(tmp_path / "full.mp4", rate="30", seconds=2)
    run(
        "-i",
        tmp_path / "full.mp4",
        "-vf",
        "select='lt(t,1)+not(mod(n,3))'",
        "-fps_mode",
        "vfr",
        "-c:a",
        "copy",
        tmp_path / "vfr.mkv",
    )
    (tmp_path / "out").mkdir()
    said: list[str] = []
    target = apply_to_film(work(), tmp_path / "vfr.mkv", tmp_path / "out", say=said.append)
    assert any("different lengths" in text for text in said)
    assert abs(probe(target).seconds - 2) < 0.11


def test_odd_sizes_and_other_containers(tmp_path: Path):
    clip(tmp_path / "a.avi", size="64x48", seconds=0.4, words=("-c:v", "mpeg4", "-c:a", "pcm_s16le"))
    (tmp_path / "out").mkdir()
    said: list[str] = []
    target = apply_to_film(work(), tmp_path / "a.avi", tmp_path / "out", say=said.append)
    assert target.name == "a.mp4"
    assert probe(target).sound
    assert any("a.mp4" in text for text in said)
    run(
        "-f",
        "lavfi",
        "-i",
        "color=red:size=65x49:rate=25,format=bgr0",
        "-t",
        "0.2",
        "-c:v",
        "ffv1",
        tmp_path / "odd.mkv",
    )
    same = Work(_one(), lambda frame, mask: frame, steady=False)
    assert probe(apply_to_film(same, tmp_path / "odd.mkv", tmp_path / "out")).width == 66


def _one() -> Twice:
    game = Twice()
    game.scale = 1
    return game


# --- interrupted ------------------------------------------------------------------------------------------------------


def test_an_interrupted_film_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(films_module, "_MOST", 6)
    source = clip(tmp_path / "a.mp4", seconds=1)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = apply_to_film(work(), source, tmp_path / "whole")
    worked: list[int] = []

    def stop(done: int, of: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_to_film(work(), source, tmp_path / "parts", progress=stop)
    left = tmp_path / "parts" / ".a.mp4.pieces"
    assert sorted(p.name for p in left.iterdir()) == ["00000.mp4", "00001.mp4", "plan.json"]
    assert not (tmp_path / "parts" / "a.mp4").exists()
    said: list[str] = []

    def counted(frame: Image.Image, mask: Any) -> Image.Image:
        worked.append(1)
        return twice(frame, mask)

    target = apply_to_film(Work(Twice(), counted, steady=False), source, tmp_path / "parts", say=said.append)
    assert len(worked) == 25 - 12
    assert any("frame 13 of 25" in text for text in said)
    assert np.array_equal(decoded(target), decoded(whole))
    assert not left.exists()


def test_pieces_of_another_model_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(films_module, "_MOST", 6)
    source = clip(tmp_path / "a.mp4", seconds=1)
    (tmp_path / "out").mkdir()

    def stop(done: int, of: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_to_film(work(), source, tmp_path / "out", progress=stop)
    other = Twice()
    other.bias.data.fill_(1.0)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        apply_to_film(Work(other, twice, steady=False), source, tmp_path / "out", progress=stop, say=said.append)
    assert not said
    with pytest.raises(KeyboardInterrupt):
        apply_to_film(
            Work(other, twice, settings="tile", steady=False), source, tmp_path / "out", progress=stop, say=said.append
        )
    assert not said
    (tmp_path / "out" / ".a.mp4.pieces" / "plan.json").write_text('{"done": [6, "x"]}')
    apply_to_film(work(), source, tmp_path / "out", say=said.append)
    assert not said


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut", "sound only", "no frames"])
def test_what_is_no_film_is_said_and_leaves_nothing(
    what: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.mp4"
    if what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("not a film" * 100)
    elif what == "cut":
        path.write_bytes(clip(tmp_path / "whole.mp4").read_bytes()[:3000])
    elif what == "sound only":
        run("-f", "lavfi", "-i", "sine=frequency=440", "-t", "1", path)
    elif what == "no frames":
        run("-i", clip(tmp_path / "whole.mp4"), "-map", "0:v", "-c", "copy", "-frames:v", "0", path)
    code = main(["apply", str(model), str(path), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert "Traceback" not in said
    assert len(said) > 20
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_results_that_exist_and_the_film_itself_are_never_replaced(tmp_path: Path):
    source = clip(tmp_path / "a.mp4", seconds=0.2)
    content = source.read_bytes()
    with pytest.raises(GansmithError, match="the film itself"):
        apply_to_film(work(overwrite=True), source, tmp_path)
    assert source.read_bytes() == content
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").write_bytes(b"mine")
    with pytest.raises(GansmithError, match="--overwrite"):
        apply_to_film(work(), source, tmp_path / "out")
    assert (tmp_path / "out" / "a.mp4").read_bytes() == b"mine"
    apply_to_film(work(overwrite=True), source, tmp_path / "out")
    assert probe(tmp_path / "out" / "a.mp4").frames == 5


def test_a_missing_ffmpeg_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import imageio_ffmpeg

    def missing() -> str:
        raise RuntimeError("no ffmpeg")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(GansmithError, match="IMAGEIO_FFMPEG_EXE"):
        probe(tmp_path / "a.mp4")


def test_a_film_too_large_to_play_is_refused_before_any_work(tmp_path: Path):
    source = clip(tmp_path / "a.mp4", seconds=0.2)
    game = Twice()
    game.scale = 1000
    (tmp_path / "out").mkdir()
    with pytest.raises(GansmithError, match="px a side"):
        apply_to_film(Work(game, twice), source, tmp_path / "out")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_takes_films_pictures_and_animations_together(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    clip(tmp_path / "a.mp4", seconds=0.2)
    Image.new("RGB", (20, 30), "red").save(tmp_path / "b.png")
    pictures = [Image.new("RGB", (20, 30), colour) for colour in ("red", "green", "blue")]
    pictures[0].save(tmp_path / "c.gif", save_all=True, append_images=pictures[1:], duration=[50, 100, 150], loop=0)
    names = [str(tmp_path / name) for name in ("a.mp4", "b.png", "c.gif", "missing.mp4")]
    assert main(["apply", str(model), *names[:3], "--out", str(tmp_path / "out")]) == 0
    assert "3 of 3 pictures and films" in capsys.readouterr().out
    assert probe(tmp_path / "out" / "a.mp4").width == 128
    assert Image.open(tmp_path / "out" / "b.png").size == (40, 60)
    with Image.open(tmp_path / "out" / "c.gif") as made:
        assert (made.n_frames, made.size) == (3, (40, 60))  # type: ignore[attr-defined]
    assert main(["apply", str(model), names[0], "--out", str(tmp_path / "half"), "--scale", "1"]) == 0
    assert probe(tmp_path / "half" / "a.mp4").width == 64
    assert main(["apply", str(model), names[1], "--out", str(tmp_path / "half"), "--scale", "1.5"]) == 0
    assert Image.open(tmp_path / "half" / "b.png").size == (30, 45)
    assert main(["apply", str(model), names[1], "--out", str(tmp_path / "x"), "--scale", "3"]) == 2
    assert "at most" in capsys.readouterr().err


def test_patterns_stand_for_films_too(tmp_path: Path):
    for name in ("a.mp4", "b.MOV", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    found, others = films_among([str(tmp_path / "*"), "folder/"])
    assert [f.name for f in found] == ["a.mp4", "b.MOV"]
    assert [Path(o).name for o in others] == ["c.png", "folder"]
    assert suffix_for(Path("x.AVI")) == ".mp4"
    assert suffix_for(Path("x.MKV")) == ".mkv"


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_animations_keep_durations_loops_and_alpha(kind: str, model: Path, tmp_path: Path):
    made = []
    for number in range(3):
        picture = Image.new("RGBA", (24, 20), (0, 0, 0, 0))
        picture.paste((200, 60 * number, 40, 255), (4 + number, 4, 16, 14))
        made.append(picture)
    path = tmp_path / f"a.{kind}"
    made[0].save(
        path,
        save_all=True,
        append_images=made[1:],
        duration=[70, 140, 210],
        loop=3,
        **({"disposal": 2} if kind == "gif" else {}),
    )
    assert main(["apply", str(model), str(path), "--out", str(tmp_path / "out")]) == 0
    with Image.open(path) as before, Image.open(tmp_path / "out" / path.name) as after:
        assert after.n_frames == 3  # type: ignore[attr-defined]
        assert after.info.get("loop") == before.info.get("loop")
        for number, duration in enumerate((70, 140, 210)):
            before.seek(number)
            after.seek(number)
            frame = after.convert("RGBA")
            assert frame.size == (48, 40)
            assert after.info["duration"] == pytest.approx(duration, abs=10)
            assert frame.getpixel((2, 2))[3] == 0  # type: ignore[index]
            assert frame.getpixel((20, 18))[3] == 255  # type: ignore[index]


# --- what flickers ----------------------------------------------------------------------------------------------------


class Kind(Twice):
    """A game that only says what it is."""

    def __init__(self, repair: str = "colour", takes_mask: bool = False) -> None:
        super().__init__()
        self.__dict__["repair"], self.__dict__["takes_mask"] = repair, takes_mask


def steady_of(kind: str) -> Steady:
    steady = Steady(Twice())
    steady.kind = kind
    return steady


def flicker(made: list[np.ndarray]) -> float:
    """Mean change of a still scene from frame to frame, in grey levels."""
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in itertools.pairwise(made)]))


@pytest.mark.parametrize("kind", ["colour", "statistics"])
def test_a_tint_that_changes_from_frame_to_frame_is_damped(kind: str):
    random = np.random.default_rng(0)
    scene = random.integers(60, 190, (40, 60, 3)).astype(np.uint8)
    tints = random.normal(0, 12, (20, 3))
    if kind == "colour":  # a colouring model never changes the light
        tints -= (tints @ [0.299, 0.587, 0.114])[:, None]
    tinted = [np.clip(scene + tint, 0, 255).astype(np.uint8) for tint in tints]
    steady = steady_of(kind)
    damped = [steady(scene, one) for one in tinted]
    assert flicker(damped[5:]) < 0.5 * flicker(tinted[5:])


def test_fills_of_a_still_scene_stay(tmp_path: Path):
    random = np.random.default_rng(0)
    scene = random.integers(60, 190, (40, 60, 3)).astype(np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 20:40] = True
    filled = [np.where(mask[..., None], random.integers(0, 255, (1, 1, 3)), scene).astype(np.uint8) for _ in range(12)]
    steady = steady_of("fill")
    damped = [steady(scene, one, mask) for one in filled]
    assert flicker(damped[4:]) < 0.4 * flicker(filled[4:])
    assert all(np.array_equal(d[~mask], scene[~mask]) for d in damped)  # what is known is never touched
    moving = steady_of("fill")
    moving(scene, filled[0], mask)
    elsewhere = np.roll(scene, 7, 1)
    new = np.where(mask[..., None], filled[1], elsewhere).astype(np.uint8)
    assert np.abs(moving(elsewhere, new, mask).astype(float) - new).max() < 40  # a new surrounding, a new fill


def test_a_cut_forgets_the_last_scene():
    random = np.random.default_rng(0)
    dark, light = (random.integers(a, b, (40, 60, 3)).astype(np.uint8) for a, b in ((0, 60), (190, 255)))
    for kind in ("colour", "statistics", "fill"):
        steady = steady_of(kind)
        mask = np.ones((40, 60), bool)
        steady(dark, dark, mask)
        assert np.array_equal(steady(light, light, mask), light)


def test_upscalers_are_left_alone():
    steady = Steady(gansmith.build("upscale", size=32, channels=3, width=8, blocks=1))  # type: ignore[arg-type]
    assert steady.kind == "none"
    colour = Steady(gansmith.build("colorize", size=32, channels=3, width=8))  # type: ignore[arg-type]
    assert colour.kind == "colour"
    assert Steady(gansmith.build("inpaint", size=32, channels=3, width=8)).kind == "fill"  # type: ignore[arg-type]
    assert Steady(gansmith.build("cyclegan", size=32, channels=3, width=8, blocks=1)).kind == "statistics"  # type: ignore[arg-type]


def test_a_film_knows_its_length():
    assert Film(Path("a"), 1, 1, Fraction(30000, 1001), 300, Fraction(1), False, True).seconds == pytest.approx(10.01)

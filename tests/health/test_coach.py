"""The coach on recorded logs of real runs, good and bad, and on the signs themselves.

The logs are those of runs of ``dcgan`` on mnist10k, thinned out: ``--width 16 --images 100000`` with one learning rate
fifty times too high, a plain run of five minutes, and the 10,000 steps of ``gan``, a slow starter; and two minutes of
``wgan-gp`` on Fashion-MNIST, whose generator moves at every fifth step. And ``stylegan2 --width 0.0625 --minutes 18`` on
mnist10k with path lengths and style mixing: one digit at a time for all latents, and another one soon.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gansmith import registry
from gansmith.abilities import Sampled
from gansmith.data import open_pictures
from gansmith.files.pictures import to_float
from gansmith.files.run import Run
from gansmith.game import Batch, Clock
from gansmith.health.coach import diagnose
from gansmith.health.copies import CHUNK, MOST, Copies
from gansmith.health.vitals import Vitals, common_classes, distances
from gansmith.training.session import train
from gansmith.training.settings import settings_from
from gansmith.training.state import State
from helpers.pictures import pictures

LOGS = Path(__file__).parent / "logs"


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (LOGS / f"{name}.jsonl").read_text().splitlines()]


def first_told(records: list[dict], kind: str) -> float | None:
    for end in range(1, len(records) + 1):
        if any(finding.kind == kind for finding in diagnose(records[:end])):
            return records[end - 1]["progress"]
    return None


def test_a_provoked_collapse_is_named_early_and_keeps_being_named():
    records = read("collapse-dcgan-fast-discriminator")
    told = first_told(records, "collapse")
    assert told is not None
    assert told <= 0.2
    finding = diagnose(records)[0]
    assert finding.kind == "collapse"
    assert "--lr" in finding.advice


def test_a_collapse_that_moves_from_digit_to_digit_is_named():
    records = read("collapse-stylegan2")
    first = min(told for kind in ("oscillation", "collapse") if (told := first_told(records, kind)) is not None)
    assert first < 0.2
    assert first_told(records, "collapse") is not None
    finding = diagnose(records)[0]
    assert finding.kind == "collapse"
    assert "all change together" in finding.headline


def test_oscillation_is_told_with_as_few_signs_as_a_run_has():
    records = [record for record in made_up(churn=1.2, spread=0.5) if record["images"] % 10_000 == 0]
    assert first_told(records, "oscillation") is not None


@pytest.mark.parametrize("name", ["healthy-dcgan", "healthy-dcgan-fast-generator", "healthy-gan", "healthy-wgan-gp"])
def test_healthy_runs_hear_nothing(name):
    records = read(name)
    for end in range(1, len(records) + 1):
        assert diagnose(records[:end]) == [], records[end - 1]


def made_up(**signs) -> list[dict]:
    """A run of 100 checks in which the signs are what is given from half of it on."""
    healthy = {"diversity": 0.9, "spread": 0.9, "churn": 0.3, "classes_missing": 0.0, "memorising": 0.0, "sign_real": 0.4,
               "sign_fake": -0.4, "loss/generator": 1.0, "augment_p": 0.2}  # fmt: skip
    return [{"images": 5000 * i, "progress": i / 100} | healthy | (signs if i >= 50 else {}) for i in range(1, 101)]


@pytest.mark.parametrize(
    ("kind", "signs"),
    [
        ("collapse", {"diversity": 0.1}),
        ("collapse", {"spread": 0.05}),
        ("discriminator-wins", {"sign_real": 1.0, "sign_fake": -1.0, "loss/generator": 9.0}),
        ("missing-classes", {"classes_missing": 2.0}),
        ("oscillation", {"churn": 1.2}),
        ("memorising", {"memorising": 0.8}),
        ("leaking", {"augment_p": 0.95}),
    ],
)
def test_every_illness_is_told_once_it_lasts(kind, signs):
    records = made_up(**signs)
    assert diagnose(records[:50]) == []
    assert diagnose(records[:51]) == []  # one odd moment is no illness
    assert [finding.kind for finding in diagnose(records[:62])] == [kind]


def test_alike_samples_are_normal_at_the_very_beginning():
    records = [{"images": 64 * i, "progress": i / 100, "diversity": 0.05, "spread": 0.05} for i in range(1, 101)]
    assert diagnose(records) == []
    assert diagnose([]) == []


def test_few_vital_signs_are_enough():
    records = [
        {"images": 1000 * i, "progress": i / 100} | ({"diversity": 0.1, "spread": 0.1} if i % 8 == 0 else {})
        for i in range(1, 61)
    ]
    assert [finding.kind for finding in diagnose(records)] == ["collapse"]


def test_vital_signs_of_copies_and_of_the_real_pictures():
    images = to_float(torch.from_numpy(pictures(40, 16)).permute(0, 3, 1, 2))
    vitals = Vitals(Batch(images), None)
    same = vitals.signs(images)
    assert same["diversity"] == pytest.approx(1, rel=1e-4)
    assert same["spread"] == pytest.approx(1, rel=1e-4)
    copies = vitals.signs(images[:1].expand_as(images))
    assert copies["diversity"] < 1e-6
    assert copies["churn"] > 1
    few = vitals.signs(images[:4].repeat(10, 1, 1, 1))
    assert few["spread"] < 1e-3 < 0.3 < few["diversity"]


def test_missing_classes_are_counted_where_a_classifier_knows_the_data():
    images = to_float(torch.from_numpy(pictures(40, 16)).permute(0, 3, 1, 2))
    bright = lambda pixels: (pixels.float().flatten(1).mean(1) > middle).numpy().astype(int)
    middle = float(torch.from_numpy(pictures(40, 16)).float().flatten(1).mean(1).median())
    classes = bright(torch.from_numpy(pictures(40, 16)).permute(0, 3, 1, 2))
    assert set(classes) == {0, 1}
    vitals = Vitals(Batch(images), None, classify=bright)
    assert vitals.signs(images)["classes_missing"] == 0
    bright_only = images[classes == 1].repeat(2, 1, 1, 1)[:40]
    assert vitals.signs(bright_only)["classes_missing"] == 1
    assert common_classes(np.array([0] * 99 + [1])) == {0}


def test_distances_of_a_known_pair():
    mean, nearest = distances(torch.tensor([[[[0.0]]], [[[3.0]]], [[[4.0]]]]))
    assert mean == pytest.approx((3 + 4 + 1) / 3)
    assert nearest == pytest.approx(1)


@pytest.mark.parametrize(("takes", "expected"), [(0.1, 60), (2.0, 16)])
def test_dear_vital_signs_are_taken_less_often(monkeypatch, takes, expected):
    now = [0.0]
    monkeypatch.setattr("gansmith.health.vitals.time.monotonic", lambda: now[0])

    class Slow(Sampled):
        checks = 0

        def __init__(self):
            torch.nn.Module.__init__(self)

        def metrics_images(self, real, seed):
            now[0] += takes
            self.checks += 1
            return real.images

    game, state = Slow(), State(0)
    vitals = Vitals(Batch(torch.randn(8, 1, 4, 4)), None)
    for step in range(1, 1001):
        state.clock, state.seconds = Clock(step, step, step / 1000), float(step)
        vitals(game, state, {})
    assert game.checks == pytest.approx(expected, abs=1)


# --- copies of training pictures --------------------------------------------------------------------------------------


def shuffled_digits() -> torch.Tensor:
    x = open_pictures("mnist10k").fetch(np.random.default_rng(0).permutation(10_000)[:1400])[0]
    return to_float(x)


def copies_of(x: torch.Tensor, **options) -> Copies:
    return Copies(lambda start: Batch(x[start : start + CHUNK]), len(x), **options)


@pytest.mark.parametrize("count", [10, 50, 300, 1000])
def test_copies_are_told_from_new_pictures_at_any_number(count):
    x = shuffled_digits()
    train, new = x[:count], x[1100:1356]
    found = copies_of(train)
    noise = 0.2 * torch.randn(256, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    repeated = train[torch.arange(256) % count]
    assert found.share(repeated) == 1.0
    assert found.share((repeated + noise).clamp(-1, 1)) > 0.8
    assert found.share(new) <= 0.06
    assert found.share(torch.nn.functional.avg_pool2d(new, 5, 1, 2)) <= 0.06  # soft pictures are not copies
    assert found.share(x[:1].mean(0, keepdim=True).expand(64, -1, -1, -1) * 0 - 0.8) <= 0.03
    half = torch.cat([repeated[:128], new[:128]])
    assert abs(found.share(half[torch.randperm(256, generator=torch.Generator().manual_seed(1))]) - 0.5) < 0.1


def test_duplicates_and_mirrored_pictures_among_the_training_pictures():
    x = shuffled_digits()[:60]
    assert copies_of(torch.cat([x, x])).share(x) == 1.0
    mirrored = x.flip(3)
    assert copies_of(x, flip=True).share(mirrored) == 1.0
    assert copies_of(x).share(mirrored) < 0.5
    assert copies_of(x[:1]).share(x) == 0.0


def test_colour_pictures_of_any_size_are_described_alike():
    x = to_float(torch.from_numpy(pictures(40, 96)).permute(0, 3, 1, 2))
    found = copies_of(x)
    assert found.pictures.shape[1] <= 1024
    assert found.share(x) == 1.0


def test_many_pictures_are_compared_with_a_part():
    x = torch.rand(5000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = copies_of(x)
    assert len(found.pictures) == MOST
    assert found.share(x[:256]) == 1.0
    assert len(copies_of(x, most=300).pictures) == 300


def test_lasting_copies_are_named_with_what_to_do():
    sick = made_up(copies=0.4)
    (finding,) = diagnose(sick)
    assert finding.kind == "copies"
    assert "40% of the samples are copies" in finding.headline
    assert "--memorisation" in finding.advice
    assert diagnose(made_up(copies=0.03)) == []
    assert diagnose(made_up(copies=0.4)[:2]) == []


@pytest.mark.parametrize("count", [12, 60])
def test_few_pictures_are_said_in_the_report_and_copies_are_looked_for(count, tmp_path):
    np.savez(tmp_path / "few.npz", x=pictures(count, 16, 1)[..., 0])
    kind = registry.family("gan")
    settings, config = settings_from(
        kind, tmp_path / "run", data=str(tmp_path / "few.npz"), steps=3, batch=4, **kind.tiny
    )
    train(kind, settings=settings, family_config=config, quiet=True)
    report = (tmp_path / "run" / "report.md").read_text()
    assert f"only {count} pictures" in report
    assert "Nothing was wrong" not in report
    assert Run.open(tmp_path / "run").facts["coach"][0] == f"only {count} pictures"
    assert all("copies" in record for record in Run.open(tmp_path / "run").records())


def test_a_generator_that_repeats_its_pictures_is_found_out(tmp_path, monkeypatch):
    x = shuffled_digits()[:120]
    np.savez(tmp_path / "few.npz", x=((x[:, 0] + 1) * 127.5).round().to(torch.uint8).numpy())
    kind = registry.family("gan")
    monkeypatch.setattr(kind, "metrics_images", lambda self, real, seed: x[torch.arange(len(real)) % 120])
    settings, config = settings_from(
        kind, tmp_path / "run", data=str(tmp_path / "few.npz"), steps=12, batch=4, **kind.tiny
    )
    train(kind, settings=settings, family_config=config, quiet=True)
    assert "copies of training pictures" in (tmp_path / "run" / "report.md").read_text()

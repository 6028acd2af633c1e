"""A lesson on a page of its own: the game that a browser plays is the families', and the page works without a connection."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("starlette", reason="the studio's extra is not installed")
from starlette.testclient import TestClient

from gansmith.game import Batch, Clock
from gansmith.parallel import seeds
from gansmith.studio import lesson_page, playground
from gansmith.studio.app import create_app
from helpers.studio import BASE, SAFE
from helpers.studio_pages import FLAGS, NEEDS_CHROMIUM, axe, browser, changes, differs, expect, reach, until

__all__ = ["FLAGS", "axe", "browser"]

COMPUTED = """((given) => {
  %s
  const { DISCRIMINATOR, GENERATOR, generate } = m_teach_game_js;
  const { Adam, Matrix, detached, gradients, variable } = m_teach_numbers_js;
  const matrix = (rows) => new Matrix(rows.length, rows[0].length, Float32Array.from(rows.flat()));
  const weights = (list) => list.map((rows) => variable(rows.length, rows[0].length, Float32Array.from(rows.flat())));
  const [g, d, real, mixing] = [weights(given.g), weights(given.d), matrix(given.real), matrix(given.mixing)];
  const drawn = generate(g, matrix(given.z));
  const loss = DISCRIMINATOR[given.family](d, real, detached(drawn), given.settings, { mixing, penalised: true });
  const slopes = gradients(loss, d);
  const other = GENERATOR[given.family](d, drawn, real);
  const found = { losses: [loss.data[0], other.data[0]], d: slopes.map((m) => [...m.data]), g: gradients(other, g).map((m) => [...m.data]) };
  const adam = new Adam(d, 0.01, [given.settings.beta1, given.settings.beta2]);
  for (let i = 0; i < 3; i += 1) adam.move(slopes);
  return { ...found, moved: d.map((m) => [...m.data]) };
})"""


def rows(parameters: Sequence[torch.Tensor]) -> list[list[list[float]]]:
    """Weights as the page has them: matrices, biases as one row."""
    return [(p if p.dim() == 2 else p[None]).tolist() for p in parameters]


def split(parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The discriminator's first layer in the page's three parts: the place, sines, cosines."""
    first, *rest = parameters
    return [first[:, :2], first[:, 2:6], first[:, 6:], *rest]


@NEEDS_CHROMIUM
@pytest.mark.parametrize("family", list(playground.SETTINGS))
def test_the_browser_plays_the_familys_own_losses(browser, family, monkeypatch):
    """Losses, gradients (those of gradients too) and the optimizer's steps, against torch on the same weights and points."""
    player = playground.Player(family, playground.World("ring"), 0, 1.0)
    game = player.game.train()
    made = torch.Generator().manual_seed(5)
    n = 16
    z, real = torch.randn(n, 2, generator=made), 3 * torch.randn(n, 2, generator=made)
    mixing = torch.rand(n, 1, generator=made)
    monkeypatch.setattr(game, "latents", lambda count: z)
    monkeypatch.setattr(seeds, "uniform", lambda *shape, device=None: mixing)
    settings = lesson_page.facts()["families"][family]
    batch = Batch(real, clock=Clock(0, settings.get("penalty_every", 1), 0.0))
    turns = {turn.player: turn.loss for turn in game.turns()}
    d = list(game.get_submodule("discriminator").parameters())
    g = list(game.get_submodule("generator").parameters())
    given = {"family": family, "g": rows(g), "d": rows(split(d)), "real": real.tolist(), "z": z.tolist()}
    given |= {"mixing": mixing.tolist(), "settings": settings}
    page = browser.new_page()
    found = page.evaluate(f"{COMPUTED % lesson_page.bundled('teach/game.js')}({json.dumps(given)})")
    page.close()
    loss, _ = turns["discriminator"](batch)
    slopes = torch.autograd.grad(loss, d)
    other, _ = turns["generator"](batch)
    wanted_g = torch.autograd.grad(other, g)

    def same(mine: list[list[float]], theirs: Sequence[torch.Tensor], within: float) -> None:
        a, b = (np.concatenate([np.ravel(np.asarray(part)) for part in parts]) for parts in (mine, theirs))
        assert len(a) == len(b)
        assert np.abs(a - b).max() < within * np.abs(b).max()

    assert found["losses"] == pytest.approx([float(loss.detach()), float(other.detach())], rel=1e-4, abs=1e-5)
    same(found["d"], split(list(slopes)), 1e-4)
    same(found["g"], list(wanted_g), 1e-4)
    optimizer = torch.optim.Adam(d, 0.01, (settings["beta1"], settings["beta2"]))
    for parameter, slope in zip(d, slopes, strict=True):
        parameter.grad = slope
    for _ in range(3):
        optimizer.step()
    moved = torch.cat([p.detach().flatten() for p in split(d)]).numpy()
    mine = np.concatenate([np.asarray(part) for part in found["moved"]])
    assert np.mean(np.abs(mine - moved) < 1e-3) > 0.99  # where a slope is nearly 0, Adam goes by its sign


def exported(folder: Path, **asked) -> Path:
    """The page, as the studio answers with it."""
    with TestClient(create_app(folder / "place", warm_up=False), base_url=BASE, headers=SAFE) as client:
        answer = client.post("/api/toy/lesson", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    file = folder / "lesson.html"
    file.write_text(answer.text, "utf-8")
    return file


@pytest.fixture
def offline(browser):
    """A page without a connection that notes every request, and every error in its console."""
    opened = {}

    def open_file(file: Path, language: str = "en-US", width: int = 1280, dark: bool = False):
        context = browser.new_context(
            offline=True,
            locale=language,
            viewport={"width": width, "height": 850},
            color_scheme="dark" if dark else "light",
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: said.append(asked.url))
        page.goto(file.as_uri())
        opened[context] = said, file.as_uri()
        return page

    yield open_file
    for context, (said, own) in opened.items():
        context.close()
        assert [line for line in said if not line.startswith(own)] == []


STEP = "Number(document.querySelector('.panel figcaption .number')?.textContent.replace(/\\D/g, ''))"


@NEEDS_CHROMIUM
def test_a_lesson_works_as_one_file_without_a_connection(offline, tmp_path):
    page = offline(exported(tmp_path, language="en", asked="chapter=3&world=grid&families=gan,r3gan"))
    assert page.title() == "What a GAN is"
    expect(page.locator(".lesson h2")).to_have_text("The chase")
    expect(page.locator(".panel h2")).to_have_text(["GAN", "R3GAN"])
    expect(page.get_by_role("button", name="Grid")).to_have_attribute("aria-pressed", "true")
    until(page, f"{STEP} > 3")  # it plays by itself, as the chapter says
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".panel figcaption .number").first).to_have_text("step 0")
    before = differs(page, ".plane")
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.locator(".panel figcaption .number").first).to_have_text("step 5")
    changes(page, ".plane", before)
    expect(page.locator(".panel .score b").first).to_have_text(re.compile(r"\d+ of 25"))
    still = differs(page, ".plane")
    page.get_by_label("Pushes").click()
    changes(page, ".plane", still)
    page.get_by_text("A question for the class").click()
    page.get_by_text("An answer").click()
    expect(page.get_by_text("the best discriminator says one half everywhere")).to_be_visible()
    page.get_by_label("Learning rate").fill("4")
    expect(page.locator(".panel figcaption .number").first).to_have_text("step 0")
    reach(page, "Dark")
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 18, 16)"
    page.reload()  # what was chosen stands in the address
    assert page.get_by_label("Learning rate").input_value() == "4"
    reach(page, "Next")
    page.keyboard.press("Enter")
    expect(page.locator(".lesson h2")).to_have_text("Mode collapse")
    page.get_by_role("button", name="Pause").click()


@NEEDS_CHROMIUM
def test_a_lesson_on_a_phone_in_chinese_with_points_that_were_drawn(offline, tmp_path):
    drawn = [[0.1 * i - 0.7, 0.5] for i in range(15)]
    file = exported(tmp_path, language="zh", asked="chapter=7&families=gan", points=drawn)
    page = offline(file, width=390, dark=True)  # the language is that of the page, not that of the browser
    expect(page.locator("h1")).to_have_text("GAN 是什么")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    until(page, f"{STEP} > 3")
    page.get_by_role("button", name="暂停").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="手绘").click()
    box = page.locator(".board").bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=6)
    page.mouse.up()
    page.get_by_role("button", name="学习这些点").click()
    expect(page.locator(".panel .score b").first).to_contain_text("%")


@NEEDS_CHROMIUM
def test_axe_finds_nothing_on_a_lesson(offline, axe, tmp_path):
    for language in ("en", "zh"):
        file = exported(tmp_path, language=language, asked="chapter=1&families=gan,wgan-gp")
        for width, dark in ((1280, False), (390, True)):
            page = offline(file, width=width, dark=dark)
            page.locator(".panel").first.wait_for()
            page.locator("summary").first.click()
            page.evaluate(axe)
            found = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))")
            assert found == [], (language, width)


def test_what_is_asked_of_a_lesson_is_checked(tmp_path):
    with TestClient(create_app(tmp_path, warm_up=False), base_url=BASE, headers=SAFE) as client:
        for wrong in ({"language": "xx"}, {"language": "en", "points": []}, {"language": "en", "points": [["a", 1]]}, {"language": "en", "asked": 3}):  # fmt: skip
            assert client.post("/api/toy/lesson", json=wrong).status_code == 400, wrong
        made = client.post("/api/toy/lesson", json={"language": "en", "asked": "</script><script>alert(1)</script>"})
        assert "<script>alert" not in made.text
    # a page for a class has no address in it that it could ask
    assert set(re.findall(r"(?:src|href)\s*[=:]\s*[\"'`]([^\"'`$]+)", lesson_page.made("en", "", None))) <= {"data:,", "#/train"}  # fmt: skip

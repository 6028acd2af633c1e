"""axe-core finds nothing on any page, in both themes, both languages, on a screen and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gansmith.game import ImageSpec
from gansmith.studio import words
from helpers.studio import make_run, save_picture
from helpers.studio_pages import (
    LOOK_AGAIN,
    NEEDS_CHROMIUM,
    WAIT,
    address,
    axe,
    browser,
    close_studio,
    drawn,
    expect,
    open_studio,
    place,
)

__all__ = ["address", "axe", "browser", "place"]
pytestmark = NEEDS_CHROMIUM
Act = Callable[[Any, Callable[..., str], Path], None]


def click(page, say, key: str, **given: Any) -> None:
    """Click a button by the key of its name in the languages' files."""
    page.get_by_role("button", name=say(key, **given), exact=True).first.click()


def opened_form(page, say, tmp) -> None:
    """Every setting of a family, and what is wrong with one."""
    page.evaluate("for (const part of document.querySelectorAll('#new-run details')) part.open = true")
    page.locator(".setting[data-name=batch] input").fill("ten")
    click(page, say, "new.start")
    page.locator("#new-run .problem:visible").first.wait_for()


def opened_settings(page, say, tmp) -> None:
    page.locator("main summary", has_text=say("watch.settings")).first.click()


def painted(page, say, tmp) -> None:
    save_picture(tmp / "photo.png", 9, 64)
    page.locator("input[data-role=picture]").set_input_files(tmp / "photo.png")
    page.locator(".brush").wait_for()


def repaired(page, say, tmp) -> None:
    """Before and after, and the list of repairs."""
    painted(page, say, tmp)
    page.locator(".window").focus()
    page.keyboard.press("Space")
    click(page, say, "repair.go.inpaint")
    page.get_by_role("slider", name=say("repair.beforeAfter")).wait_for(timeout=2 * WAIT)
    page.locator(".history li").first.wait_for()


def asked(page, say, tmp) -> None:
    click(page, say, "runs.renameOne", name="faces")
    page.locator("dialog[open] input").wait_for()


def gone(page, say, tmp) -> None:
    page.context.set_offline(True)
    page.evaluate(LOOK_AGAIN)
    page.locator(".banner").wait_for()
    page.context.set_offline(False)


def led(page, say, tmp) -> None:
    """The first steps are called again, so that a bar leads on."""
    page.locator("[data-role=welcome]:visible").click()
    page.locator("[data-step][aria-current]").wait_for()


def steps_left(page, say, tmp) -> None:
    page.locator(".guide li").first.wait_for()


VIEWS: dict[str, tuple[str, str, Act | None]] = {
    "data": ("data?spec=data/mixed", ".wall canvas", None),
    "train": ("train?run=runs/faces", ".chart canvas", opened_settings),
    "train, the form": ("train?data=mnist10k&family=r3gan", "[data-role=filled]", opened_form),
    "play": ("play?model=runs/digits&pick=2", ".tiles[data-seed]", None),
    "play, walk": ("play?model=runs/digits&mode=walk", ".walk .big", None),
    "play, between": ("play?model=runs/digits&mode=between", ".way canvas", None),
    "play, mix": ("play?model=runs/styles&mode=mix", ".mix canvas", None),
    "play, edit": ("play?model=runs/styles&mode=edit", ".walk .big", None),
    "repair": ("repair?model=runs/holes", ".drop", None),
    "repair, a mask": ("repair?model=runs/holes&v=1", ".drop", painted),
    "repair, done": ("repair?model=runs/holes&v=2", ".drop", repaired),
    "models": ("models", ".ready li", None),
    "models of one's own": ("models?model=runs/digits", ".formats li", None),
    "understand": ("understand?chapter=6", ".panel", None),
    "runs": ("runs?compare=runs/faces,runs/digits", ".chart canvas", None),
    "runs, the trash": ("runs?trash=1&compare=none", "tr[data-run]", None),
    "runs, a question": ("runs?compare=none", "tr[data-run]", asked),
    "welcome": ("welcome", "[data-step]", led),
    "data, led": ("data", "[data-spec]", steps_left),
    "gone": ("models", ".ready li", gone),
}
"""Where each page is looked at, what is there once it is drawn, and what is done there."""


def violations(page, axe: str) -> dict[str, list[str]]:
    """What axe finds on a page, light and dark."""
    found = {}
    drawn(page)
    page.evaluate(axe)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        broken = page.evaluate("axe.run({ resultTypes: ['violations'] }).then((r) => r.violations)")
        found |= {f"{theme}: {v['id']}": [node["html"][:160] for node in v["nodes"]][:4] for v in broken}
    page.emulate_media(color_scheme="light")
    return found


@pytest.fixture(scope="module")
def thrown(place, address) -> str:
    """A workspace with something in its trash."""
    make_run(place / "runs" / "thrown", "gan", ImageSpec(16, 16, 1), width=4)
    import urllib.request

    asked = urllib.request.Request(
        f"{address}/api/run/delete",
        b'{"id": "runs/thrown"}',
        {"X-Gansmith": "studio", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked, timeout=60).close()
    return address


@pytest.mark.parametrize("code", words.LANGUAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(browser, thrown, axe, width, code, tmp_path):
    """On every page, in both themes; and no page is wider than its window."""
    told = words.page(code)

    def say(key: str, **given: Any) -> str:
        return told[key].format(**given)

    found = {}
    context = browser.new_context(
        viewport={"width": width, "height": 850}, locale={"zh": "zh-CN"}.get(code, code), reduced_motion="reduce"
    )
    page = context.new_page()
    for name, (where, there, act) in VIEWS.items():
        page.goto("about:blank")  # nothing of the view before it is left
        page.goto(f"{thrown}/#/{where}")
        page.locator(there).first.wait_for(timeout=WAIT)
        if act:
            act(page, say, tmp_path)
        found |= {f"{name}, {what}": nodes for what, nodes in violations(page, axe).items()}
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    context.close()
    assert found == {}


def test_axe_finds_nothing_where_there_is_nothing(browser, axe, tmp_path):
    """The page that asks for a password, and pages of an empty workspace."""
    server, address = open_studio(tmp_path, "--password", "forge")
    found = {}
    try:
        for code, locale in (("en", "en-US"), ("zh", "zh-CN")):
            context = browser.new_context(
                viewport={"width": 390, "height": 850}, locale=locale, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(f"{address}/#/runs")
            expect(page.locator("h1")).to_be_visible()
            found |= {f"login, {code}, {what}": nodes for what, nodes in violations(page, axe).items()}
            page.locator("input").fill("forge")
            page.keyboard.press("Enter")
            page.locator(".side a").first.wait_for(state="attached")
            for name in ("runs", "play", "repair", "models", "train"):
                page.goto(f"{address}/#/{name}")
                page.locator("main .empty, main .ready li").first.wait_for(timeout=WAIT)
                found |= {f"{name}, {code}, {what}": nodes for what, nodes in violations(page, axe).items()}
            context.close()
    finally:
        close_studio(tmp_path, server)
    assert found == {}

"""Takes the pictures of the studio in docs/studio anew: ``python docs/screenshots.py WORKSPACE PHOTOGRAPH``.

Each picture is taken in English (``NAME.png``) and in Chinese (``NAME-zh.png``); ``--language`` takes one of them,
``--only`` some pictures. WORKSPACE has runs called ``digits`` (conditional), ``digits-dcgan`` and ``styles`` (of
stylegan2), a model ``models/fill`` (of inpaint), a set ``data/mixed`` with a broken picture and a duplicate, and a set
``data/photos`` of several sizes. PHOTOGRAPH is what is repaired. Needs the extras ``studio``, ``realesrgan`` and
``dev`` and a chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from gansmith.studio import words

OUT = Path(__file__).parent / "studio"
WIDE, PHONE, PHOTO = (1280, 860), (390, 844), (1080, 720)
SETTLES = 1800
"""Milliseconds until charts and pictures are drawn."""
MOST_BYTES = 120_000
LOCALES = {"en": "en-US", "zh": "zh-CN"}


class Taker:
    """Opens pages of the studio in one language and keeps what is seen."""

    def __init__(self, browser: Browser, address: str, code: str) -> None:
        self.browser, self.address, self.code = browser, address, code
        self.words = words.page(code)

    def open(self, where: str, size: tuple[int, int] = WIDE, dark: bool = False, base: str = "") -> Page:
        """A page, after it has settled."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            locale=LOCALES[self.code],
            accept_downloads=True,
        )
        page = context.new_page()
        page.goto(f"{base or self.address}/#/{where}")
        page.locator("main h1").wait_for()
        page.wait_for_timeout(SETTLES)
        return page

    def button(self, page: Page, key: str, **given: Any) -> Locator:
        """The first button of that name, by its key in the languages' files."""
        return page.get_by_role("button", name=self.words[key].format(**given), exact=True).first

    def keep(self, page: Page, name: str) -> None:
        """Save what is seen with a palette, and close the page."""
        page.mouse.move(2, 2)
        page.wait_for_timeout(SETTLES)
        file = OUT / f"{name}{'' if self.code == 'en' else f'-{self.code}'}.png"
        file.write_bytes(small(page.screenshot()))
        print(f"{file.name}: {file.stat().st_size // 1000} KB", flush=True)
        page.context.close()


def small(png: bytes) -> bytes:
    """A PNG of 8 bits with a palette: as many colours as fit into the size that a picture may have."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    made = b""
    for colours in (256, 128, 64, 32):
        buffer = io.BytesIO()
        image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        made = buffer.getvalue()
        if len(made) <= MOST_BYTES:
            break
    return made


def welcome(take: Taker) -> None:
    """The first steps, before and after the first one."""
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder) / "my-gans") as base:
        page = take.open("", base=base)
        take.keep(page, "welcome")
        page = take.open("", PHONE, base=base)
        page.locator("[data-step=data] .button").click()
        page.locator(".wall canvas").first.wait_for()
        take.keep(page, "welcome-390")


def data(take: Taker) -> None:
    """A set that something is wrong with."""
    page = take.open("data?spec=data/mixed")
    page.locator(".wall canvas").first.wait_for()
    take.keep(page, "data")


def train(take: Taker) -> None:
    """A finished run: samples, curves, the coach."""
    take.keep(take.open("train?run=runs/digits"), "train")
    page = take.open("train?run=runs/digits", dark=True)
    page.locator(".chart-card").nth(1).scroll_into_view_if_needed()
    take.keep(page, "train-dark")
    take.keep(take.open("train?run=runs/digits", PHONE), "train-390")


def purposes(take: Taker) -> None:
    """A purpose fills the form in; what it needs is measured."""
    page = take.open("train?run=runs/digits", (1280, 1340))
    page.locator("#new-run summary").first.click()
    page.locator("[data-preset=digits]").click()
    page.locator("[data-role=estimate] p.small:not(.muted)").first.wait_for(timeout=300_000)
    take.keep(page, "purposes")


def settings(take: Taker) -> None:
    """The form with a family's own settings, each with its name in this language."""
    page = take.open("train?data=mnist10k&family=r3gan&run=runs/digits", (1280, 1000))
    page.locator("[data-role=filled]").wait_for()
    page.locator("#new-run summary", has_text=take.words["new.own"].format(name="r3gan")).click()
    page.locator(".setting[data-name=beta1]").evaluate("(row) => row.scrollIntoView({ block: 'start' })")
    take.keep(page, "settings")


def cure(take: Taker) -> None:
    """Photographs of several sizes are filled in, and a setting that cannot be comes with a button that mends it."""
    page = take.open("train?data=data/photos&run=runs/digits")
    page.locator("[data-role=filled]").wait_for()
    page.locator("summary", has_text=take.words["new.run"]).first.click()
    page.locator(".setting[data-name=batch] input").fill("30")
    page.locator(".setting[data-name=accumulate] input").fill("4")
    take.button(page, "new.start").click()
    page.locator("#new-run [role=alert] button").first.wait_for()
    page.locator("summary", has_text=take.words["new.run"]).first.click()  # so that all of it is seen
    page.evaluate("document.querySelector('[data-role=filled]').scrollIntoView({ block: 'center' })")
    take.keep(page, "cure")


def play(take: Taker) -> None:
    """A model's samples, the way between two of them, and editing."""
    take.keep(take.open("play?model=runs/digits&seed=77&pick=13"), "play")
    take.keep(take.open("play?model=runs/digits&seed=77&pick=13", PHONE), "play-390")
    take.keep(take.open("play?model=runs/digits&mode=between&a=3&b=14&t=0.4&label=8"), "play-between")
    take.keep(take.open("play?model=runs/styles&mode=edit&seed=5&amounts=4,0,0,0,0,0"), "play-edit")


def _paint(page: Page, photograph: Path) -> None:
    page.locator("input[data-role=picture]").set_input_files(photograph)
    page.locator(".brush").wait_for()
    page.wait_for_timeout(SETTLES)
    box = page.locator(".brush").bounding_box()
    assert box
    for (x0, y0), (x1, y1) in (((0.2, 0.3), (0.35, 0.4)), ((0.75, 0.3), (0.87, 0.45)), ((0.08, 0.75), (0.3, 0.82))):
        page.mouse.move(box["x"] + box["width"] * x0, box["y"] + box["height"] * y0)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * x1, box["y"] + box["height"] * y1, steps=8)
        page.mouse.up()


def repair(take: Taker, photograph: Path) -> None:
    """Painting, before and after, and a long repair on its way."""
    page = take.open("repair?model=models/fill", PHONE)
    _paint(page, photograph)
    take.keep(page, "repair-390")
    page = take.open("repair?model=models/fill", PHOTO)
    _paint(page, photograph)
    file = OUT / f"repair{'' if take.code == 'en' else '-zh'}.png"
    file.write_bytes(small(page.screenshot()))
    take.button(page, "repair.go.inpaint").click()
    page.get_by_role("slider", name=take.words["repair.beforeAfter"]).wait_for(timeout=300_000)
    take.keep(page, "repair-done")
    page = take.open("models", PHOTO)  # a ready model takes its time: tiles, and how long it will be
    ready = page.locator("[data-model=realesrgan-x4plus]")
    if not ready.locator("a.primary").count():
        ready.locator("button").click()
        page.locator("dialog .primary").click()
    ready.locator("a.primary").click()
    page.locator("input[data-role=picture]").set_input_files(photograph)
    page.locator(".window").wait_for()
    take.button(page, "repair.go.upscale", scale="4").click()
    tile = re.compile(take.words["repair.tileOf"].replace("{n}", r"\d+").replace("{of}", r"\d+"))
    page.get_by_text(tile).first.wait_for(timeout=300_000)
    page.wait_for_timeout(4000)
    stop = take.button(page, "repair.stop")
    (OUT / f"repair-progress{'' if take.code == 'en' else '-zh'}.png").write_bytes(small(page.screenshot()))
    stop.click()
    page.wait_for_timeout(SETTLES)
    page.context.close()


def models(take: Taker) -> None:
    """Ready models, and one's own with its scores and exports."""
    take.keep(take.open("models"), "models")
    page = take.open("models?model=runs/digits", (1280, 1040))
    take.button(page, "models.measure").click()
    page.locator("main table").first.wait_for(timeout=300_000)
    take.button(page, "models.format.onnx").click()
    page.locator("a[href*='/api/model/exported']").wait_for(timeout=300_000)
    take.keep(page, "models-own")


def understand(take: Taker) -> None:
    """The lesson, and the page for a class that is made of it."""
    page = take.open("understand?chapter=6", dark=True)
    page.wait_for_timeout(15_000)
    take.keep(page, "understand-dark")
    page = take.open("understand?chapter=3")
    page.wait_for_timeout(9000)
    with page.expect_download() as download:
        take.button(page, "teach.export").click()
    with tempfile.TemporaryDirectory() as folder:
        lesson = Path(folder) / "lesson.html"
        lesson.write_bytes(download.value.path().read_bytes())
        page.wait_for_timeout(6000)  # until it is no longer said
        take.keep(page, "understand")
        context = take.browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, offline=True)
        page = context.new_page()
        page.goto(lesson.as_uri())
        page.locator("summary").first.click()
        page.wait_for_timeout(25_000)
        take.keep(page, "lesson")


def runs(take: Taker) -> None:
    """Runs in a list, and two of them compared."""
    take.keep(take.open("runs?compare=runs/digits,runs/digits-dcgan"), "runs")
    take.keep(take.open("runs?compare=none", PHONE), "runs-390")


def gone(take: Taker) -> None:
    """What a page says while the server does not answer."""
    page = take.open("play?model=runs/digits")
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('studioback'))")
    page.locator(".banner").wait_for()
    take.keep(page, "gone")


@contextlib.contextmanager
def studio(workspace: Path) -> Iterator[str]:
    """A studio of a workspace; yields its address."""
    command = [sys.executable, "-m", "gansmith", "studio", str(workspace), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert found, "the studio did not start"
        yield found[0]
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--language", choices=words.LANGUAGES, action="append")
    parser.add_argument("--only", action="append", help="the name of a function above, such as data or play")
    given = parser.parse_args()
    takes: dict[str, Callable[[Taker], None]] = {
        **{
            take.__name__: take
            for take in (welcome, data, train, purposes, settings, cure, play, models, understand, runs, gone)
        },
        "repair": lambda taker: repair(taker, given.photograph),
    }
    with studio(given.workspace) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for code in given.language or words.LANGUAGES:
            for name, take in takes.items():
                if not given.only or name in given.only:
                    take(Taker(browser, address, code))
        browser.close()


if __name__ == "__main__":
    main()

"""Takes the pictures of the studio in docs/studio anew: ``python docs/screenshots.py WORKSPACE PHOTOGRAPH``.

WORKSPACE has runs called ``digits`` and ``clothes`` (models that make pictures), ``styles`` (of stylegan2) and ``fill``
(of inpaint) in its ``runs/``, and a set ``data/mixed`` with a broken picture and a duplicate. Needs the extras
``studio`` and ``dev`` and a chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

OUT = Path(__file__).parent / "studio"
SIZES = {"": (1280, 860), "-390": (390, 844)}
SETTLES = 2500
"""Milliseconds until charts and pictures are drawn."""


def open_page(browser: Browser, address: str, where: str, size: str = "", dark: bool = False) -> Page:
    """A page of the studio, after it has settled."""
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.goto(f"{address}/#/{where}")
    page.locator("main h1").wait_for()
    page.wait_for_timeout(SETTLES)
    return page


def keep(page: Page, name: str) -> None:
    """Save what is seen, and close the page."""
    page.wait_for_timeout(SETTLES)
    page.screenshot(path=OUT / f"{name}.png")
    page.close()


def _data(browser: Browser, address: str) -> None:
    for size in SIZES:
        page = open_page(browser, address, "data", size)
        page.get_by_role("button", name="data/mixed").click()
        keep(page, f"data{size}")


def _train(browser: Browser, address: str) -> None:
    for size, dark, name in (("", False, "train"), ("", True, "train-dark"), ("-390", False, "train-390")):
        page = open_page(browser, address, "train?run=runs/digits", size, dark)
        if size:
            page.get_by_label("The run being watched").scroll_into_view_if_needed()
        keep(page, name)


def _play(browser: Browser, address: str) -> None:
    for size in SIZES:
        keep(open_page(browser, address, "play?model=runs/clothes", size), f"play{size}")
    page = open_page(browser, address, "play?model=runs/styles")
    page.get_by_role("button", name="Between").click()
    keep(page, "play-between")


def _repair(browser: Browser, address: str, photograph: Path) -> None:
    page = open_page(browser, address, "repair?model=runs/fill", dark=True)
    page.locator("input[data-role=picture]").set_input_files(photograph)
    brush = page.locator(".brush")
    brush.wait_for()
    box = brush.bounding_box()
    assert box
    for (x0, y0), (x1, y1) in (((0.2, 0.3), (0.35, 0.4)), ((0.75, 0.3), (0.87, 0.45)), ((0.08, 0.75), (0.3, 0.82))):
        page.mouse.move(box["x"] + box["width"] * x0, box["y"] + box["height"] * y0)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * x1, box["y"] + box["height"] * y1, steps=8)
        page.mouse.up()
    page.screenshot(path=OUT / "repair.png")
    page.get_by_role("button", name="Fill it in").click()
    page.get_by_role("slider", name="Before and after").wait_for()
    page.get_by_role("link", name="Download").scroll_into_view_if_needed()
    keep(page, "repair-done")


def _understand(browser: Browser, address: str) -> None:
    for size, dark, name in (("", False, ""), ("", True, "-dark"), ("-390", False, "-390")):
        page = open_page(browser, address, "understand", size, dark)
        page.get_by_role("button", name=re.compile("^6" if dark else "^3")).click()
        page.wait_for_timeout(15_000)
        keep(page, f"understand{name}")


def _models(browser: Browser, address: str) -> None:
    keep(open_page(browser, address, "models"), "models")
    keep(open_page(browser, address, "models?model=runs/digits"), "models-own")


def _runs(browser: Browser, address: str) -> None:
    for size in SIZES:
        page = open_page(browser, address, "runs", size)
        if not size:
            for name in ("digits", "clothes"):
                page.locator(f"tr[data-run='runs/{name}'] input").check()
        keep(page, f"runs{size}")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("photograph", type=Path)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "gansmith", "studio", str(arguments.workspace), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert found, "the studio did not start"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for take in (_data, _train, _play, _models, _runs, _understand):
                take(browser, found[0])
            _repair(browser, found[0], arguments.photograph)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()

"""What tests of the studio's pages share: a workspace, a studio in a process of its own, a browser, and how to wait."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from gansmith.game import ImageSpec
from helpers.studio import make_run, save_picture

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
server_of: dict[str, int] = {}
LOOK_AGAIN = "window.dispatchEvent(new Event('studioback'))"
"""What the page asks for every few seconds is asked for now."""
PAGES = {
    "data": "[data-spec]",
    "train": ".chart canvas",
    "play": ".tiles[data-seed]",
    "repair": ".drop",
    "models": ".ready li",
    "understand": ".panel",
    "runs": "tr[data-run]",
}
"""The pages, and what is there once each is drawn."""
WAIT = 60_000
expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio")
    make_run(root / "runs" / "faces", "dcgan", ImageSpec(64, 64, 3), width=32)
    make_run(
        root / "runs" / "digits",
        "dcgan",
        ImageSpec(16, 16, 1, 3, ("a", "b", "c")),
        width=4,
        latent_dim=8,
        conditional=True,
    )
    make_run(root / "runs" / "styles", "stylegan2", ImageSpec(16, 16, 1), width=0.03125, mapping_layers=2)
    make_run(root / "runs" / "holes", "inpaint", ImageSpec(32, 32, 3), width=8)
    folder = root / "data" / "mixed"
    folder.mkdir(parents=True)
    for i in range(5):
        save_picture(folder / f"{i}.png", i)
    (folder / "cut.png").write_bytes((folder / "1.png").read_bytes()[:300])
    return root


def open_studio(place: Path, *more: str, port: int = 0) -> tuple[subprocess.Popen, str]:
    """Start a studio; returns its process and its address once torch is imported there."""
    words = [sys.executable, "-m", "gansmith", "studio", str(place), "--port", str(port), *more]
    source = str(Path(__file__).resolve().parents[2] / "src")
    server = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )
    assert server.stderr
    line = server.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    if not more:  # a password would be asked for
        with urllib.request.urlopen(f"{found[0]}/api/family?name=gan", timeout=120) as answer:
            assert answer.status == 200
    return server, found[0]


def close_studio(place: Path, server: subprocess.Popen) -> None:
    """End a studio, and whatever it has started."""
    for job in [*place.glob(".gansmith/studio/jobs/*"), *place.glob(".gansmith/studio/repairs/*")]:
        (job / "stop").touch()
    server.terminate()
    server.wait(20)
    for process in repairers(place):
        process.terminate()


def repairers(place: Path) -> list[psutil.Process]:
    """Processes that repair for a workspace."""
    if not (place / ".gansmith" / "studio" / "repairer.lock").exists():
        return []
    words = ["gansmith.studio.repairer", str(place.resolve())]
    return [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == words]


def repairer_rests(place: Path) -> None:
    """Wait until the repairer has started and waits for work."""
    end, spent = time.monotonic() + WAIT / 1000, -1.0
    while True:
        at_it = sum(p.cpu_times().user for p in repairers(place))
        if at_it and at_it - spent < 0.02:
            return
        assert time.monotonic() < end, "no repairer started"
        spent = at_it
        time.sleep(0.4)


@pytest.fixture(scope="module")
def address(place) -> Iterator[str]:
    server, found = open_studio(place)
    server_of[found] = server.pid
    try:
        yield found
    finally:
        close_studio(place, server)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def larger(place) -> str:
    """A model that enlarges pictures, tile by tile, and takes its time."""
    return make_run(place / "runs" / "larger", "upscale", ImageSpec(32, 32, 3), width=32, blocks=4).name


@pytest.fixture(scope="module")
def axe() -> str:
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    return (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")


@pytest.fixture
def page(browser):
    """A page that fails the test on any error in its console or any request to elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, locale="en-US")
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    troubles = []
    opened.on("console", lambda said: troubles.append(f"{said.text} {said.location}") if said.type == "error" else None)
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on(
        "request",
        lambda asked: (
            None if re.match(r"(http://127\.0\.0\.1:|data:|blob:)", asked.url) else troubles.append(asked.url)
        ),
    )
    yield opened
    context.close()
    expected = getattr(opened, "expected", None)
    left = [text for text in troubles if not (expected and expected.search(text))]
    assert left == [], left


def busy() -> float:
    """How many processes share each core: on a busy machine everything takes that much longer."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def until(page, expression: str, seconds: float = 60) -> None:
    """Wait for an expression; playwright's own way needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def drawn(page) -> None:
    """Wait until the page has shown what it was told so far: what an answer leads to is done within two frames."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def answered(waiting, page) -> None:
    """Wait until the page has all of an answer (of ``expect_response``) and has shown it."""
    waiting.value.finished()
    drawn(page)


def in_address(page, words: str, seconds: float = 30) -> None:
    """Wait until words stand in the page's address, which follows a click a moment later."""
    end = time.monotonic() + seconds
    while words not in page.url:
        assert time.monotonic() < end, (words, page.url)
        page.wait_for_timeout(30)


def reach(page, name: str, role: str | None = None, most: int = 80) -> None:
    """Press Tab until a control of that name has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        now = page.evaluate(
            "(() => { const e = document.activeElement; return [(e.getAttribute('aria-label') || e.labels?.[0]?.textContent"
            " || e.textContent || '').trim(), e.tagName.toLowerCase()]; })()"
        )
        if now[0].startswith(name) and (role is None or now[1] == role):
            return
    raise AssertionError(f"Tab does not lead to '{name}'")


def held(page, pattern: str) -> list:
    """Hold back the next request to an address: a list that it joins as a route, to continue or to fulfil later."""
    routes: list = []
    page.route(pattern, lambda route: route.continue_() if routes else routes.append(route))
    return routes


def first_of(page, routes: list):
    """The request that is held back, once it is asked."""
    end = time.monotonic() + WAIT / 1000
    while not routes:
        assert time.monotonic() < end, "the page did not ask for it"
        page.wait_for_timeout(20)
    return routes[0]


def differs(page, selector: str) -> np.ndarray:
    """A picture of an element, as an array."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())))


def same_again(page, selector: str, before: np.ndarray) -> None:
    """Wait until an element looks as it did before."""
    end = time.monotonic() + WAIT / 1000
    while not ((now := differs(page, selector)).shape == before.shape and (now == before).all()):
        assert time.monotonic() < end, f"{selector} never looked as before"
        page.wait_for_timeout(50)


def changes(page, selector: str, before: np.ndarray) -> np.ndarray:
    """Wait until an element looks different from before, however busy the machine is; returns how it looks then."""
    end = time.monotonic() + WAIT / 1000
    while (now := differs(page, selector)).shape == before.shape and not (now != before).any():
        assert time.monotonic() < end, f"{selector} never changed"
        page.wait_for_timeout(50)
    return now

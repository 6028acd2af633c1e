"""What the studio costs, and how fast it answers, in a browser.

    python benchmarks/studio_cost.py [--only training clicks runs repair] [--rounds 20] [--models WORKSPACE]

- ``training``: a run is watched on the Train page and left alone in turn; what the training process itself computes
  (its processor time for each picture) must not grow.
- ``clicks``: the time from a click on *New samples* until the pictures are drawn, of the models in ``WORKSPACE/runs``.
- ``runs``: the Runs page with 200 runs, in a browser that has been there before.
- ``repair``: the time from a click until progress is shown, of a photograph of 1280x960 enlarged four times, and
  whether it is still shown after a reload.

Writes benchmarks/results/studio-cost.json and studio-figures.json. Needs the extras ``studio``, ``realesrgan`` and
``dev`` and a chromium.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

RESULTS = Path(__file__).parent / "results"
GANSMITH = [sys.executable, "-m", "gansmith"]
CLICKS = 30
RUNS = 200
WATCH = """() => {
    const wall = document.querySelector('.tiles');
    window.took = [];
    let clicked = 0;
    addEventListener('click', () => { clicked = performance.now(); }, true);
    new MutationObserver((seen) => {
        const shown = seen.some((change) => change.attributeName === 'data-ms');
        if (clicked && shown) window.took.push(performance.now() - clicked);
    }).observe(wall, { attributes: true });
}"""
"""The page says in ``data-ms`` that the pictures have been decoded and painted."""


@contextmanager
def studio(root: Path) -> Iterator[tuple[Page, psutil.Process]]:
    """A studio on a workspace, a browser's page on it, and the server's process."""
    server = subprocess.Popen([*GANSMITH, "studio", str(root), "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert found, "the studio did not start"
        with sync_playwright() as playwright:
            flags = ["--headless", "--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_page(base_url=found[0], viewport={"width": 1280, "height": 900}, locale="en-US")
            page.set_default_timeout(300_000)
            yield page, psutil.Process(server.pid)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def spent(process: psutil.Process) -> float:
    """Seconds of processor time."""
    used = process.cpu_times()
    return used.user + used.system


def last_images(run: Path) -> int:
    """Pictures that a run has seen, by the last line of its log."""
    with (run / "log.jsonl").open("rb") as log:
        log.seek(max(0, log.seek(0, 2) - 4000))
        return json.loads(log.read().splitlines()[-1])["images"]


def window(run: Path, trainer: psutil.Process, seconds: float, page: Page) -> float:
    """Microseconds of processor time for each picture that is trained on, from one line of the log to another."""

    def at_a_line() -> tuple[int, float]:
        before = last_images(run)
        while (now := last_images(run)) == before:
            page.wait_for_timeout(10)  # the page goes on with what it does
        return now, spent(trainer)

    images, used = at_a_line()
    page.wait_for_timeout(1000 * seconds)
    more, after = at_a_line()
    return 1e6 * (after - used) / (more - images)


def cost_of_watching(family: str, rounds: int, seconds: float) -> dict[str, Any]:
    """One run that is watched and left alone in turn, in windows so short that the rest of the machine stays alike.

    Alone the studio's server stands still. Which comes first changes from pair to pair.
    """
    took: dict[str, list[float]] = {"alone": [], "watched": []}
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run = root / "runs" / "watched"
        command = [*GANSMITH, "train", family, "--data", "mnist10k", "--log-images", "320", "--out", str(run)]
        with studio(root) as (page, server):
            page.goto("/#/train")
            page.get_by_role("button", name="Start", exact=True).wait_for()
            rested(server)  # it imports torch first, which watching does not cost
            minutes = str((2 * rounds * (seconds + 3) + 60) / 60)
            child = subprocess.Popen([*command, "--minutes", minutes], stdout=subprocess.DEVNULL)
            trainer = psutil.Process(child.pid)
            try:
                while not (run / "log.jsonl").is_file() or last_images(run) < 10_000:
                    time.sleep(0.5)
                for i in range(rounds):
                    for name in ("alone", "watched")[:: 1 if i % 2 else -1]:
                        if name == "alone":
                            page.goto("about:blank")
                            server.suspend()
                        else:
                            page.goto("/#/train?run=runs/watched")
                            page.locator(".chart canvas").first.wait_for()
                        before, started = spent(server), time.monotonic()
                        took[name].append(window(run, trainer, seconds, page))
                        if name == "watched":
                            shares.append((spent(server) - before) / (time.monotonic() - started))
                        server.resume()
                        print(f"pair {i + 1}, {name}: {took[name][-1]:.1f} us a picture", flush=True)
            finally:
                server.resume()
                child.terminate()
                child.wait()
    pairs = [watched / alone - 1 for alone, watched in zip(*took.values(), strict=True)]
    rows = [
        {"": name, "us of processor time a picture": round(statistics.median(v)), "pairs": rounds}
        for name, v in took.items()
    ]
    found = {
        "rows": rows,
        "slower": round(statistics.median(pairs), 4),
        "server": round(statistics.median(shares), 4),
        "pairs": [round(pair, 3) for pair in pairs],
    }
    print(f"watched, {family} takes {found['slower']:.1%} more; the server takes {found['server']:.1%} of a core")
    return found


def rested(server: psutil.Process) -> None:
    """Wait until a server computes nothing."""
    before = -1.0
    while (now := spent(server)) - before > 0.03:
        before = now
        time.sleep(1)


def clicks(root: Path) -> list[dict[str, Any]]:
    """Milliseconds from a click to the pictures, of every model that makes pictures from noise."""
    rows = []
    with studio(root) as (page, server):
        page.goto("/#/models")
        rested(server)
        for run in sorted(path.name for path in (root / "runs").iterdir()):
            config = json.loads((root / "runs" / run / "model" / "config.json").read_text())
            page.goto("about:blank")
            page.goto(f"/#/play?model=runs/{run}")
            page.locator(".tiles[data-seed], main .empty").first.wait_for()
            if not page.locator(".tiles").count():
                continue  # it changes pictures
            page.evaluate(WATCH)
            again = page.get_by_role("button", name="New samples")
            for count in range(1, CLICKS + 1):
                old = page.locator(".tiles").get_attribute("data-seed")
                again.click()
                while (
                    page.evaluate("window.took.length") < count
                    or page.locator(".tiles").get_attribute("data-seed") == old
                ):
                    page.wait_for_timeout(20)
            took = sorted(page.evaluate("window.took"))
            width = page.locator("main .chip", has_text=" x ").first.inner_text()
            row = {"model": f"{config['family']}, {width} px"}
            row |= {"median ms": round(statistics.median(took)), "worst ms": round(took[-1]), "run": run}
            print(row, flush=True)
            rows.append(row)
    return rows


def many_runs(source: Path) -> dict[str, Any]:
    """Seconds until the list of 200 runs can be used, and kilobytes that come over the network."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(RUNS):
            shutil.copytree(
                source, root / "runs" / f"r{number:03d}", ignore=shutil.ignore_patterns("checkpoint", "tb", "model")
            )
        with studio(root) as (page, server):
            page.goto("/#/runs")
            page.locator("tr[data-run]").nth(90).wait_for()
            rested(server)
            loaded: list[int] = []
            client = page.context.new_cdp_session(page)
            client.send("Network.enable")
            client.on("Network.loadingFinished", lambda told: loaded.append(told["encodedDataLength"]))
            seconds = []
            for _ in range(5):
                page.goto("about:blank")
                loaded.clear()
                started = time.perf_counter()
                page.goto("/#/runs")
                page.locator("tr[data-run]").nth(90).wait_for()
                page.get_by_label("Search").fill("r00")  # it can be used
                page.locator("tr[data-run]").nth(9).wait_for()
                seconds.append(time.perf_counter() - started)
                rested(server)
            found = {"seconds": round(statistics.median(seconds), 2), "worst": round(max(seconds), 2)}
            found["kilobytes"] = round(sum(loaded) / 1000)
    print(found, flush=True)
    return found


def repair() -> dict[str, Any]:
    """Seconds from a click until progress is shown, and until a reload shows it again."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        rng = np.random.default_rng(0)
        photo = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).resize(
            (1280, 960), Image.Resampling.BICUBIC
        )
        photo.save(Path(folder) / "photo.png")
        with studio(root) as (page, _):
            page.goto("/#/models")
            ready = page.locator("[data-model=realesrgan-x4plus]")
            ready.locator("button").click()
            page.locator("dialog .primary").click()
            ready.locator("a.primary").click()
            page.locator("input[data-role=picture]").set_input_files(Path(folder) / "photo.png")
            page.locator(".window").wait_for()
            for worker in psutil.process_iter(["cmdline"]):
                if (worker.info["cmdline"] or [])[-2:] == ["gansmith.studio.repairer", str(root.resolve())]:
                    rested(worker)  # somebody looks at the picture first
            started = time.perf_counter()
            page.get_by_role("button", name="Enlarge").click()
            page.locator("[data-role=progress]").wait_for()
            seconds = time.perf_counter() - started
            page.get_by_text(re.compile(r"tile [1-9]\d* of")).first.wait_for()
            first = time.perf_counter() - started
            page.reload()
            page.get_by_text(re.compile(r"tile [1-9]\d* of")).first.wait_for()
            told = page.locator("[data-role=progress]").inner_text()
            page.get_by_role("button", name="Stop", exact=True).click()
            page.locator("[data-status=cancelled]").wait_for()
    found = {"seconds": round(seconds, 2), "first tile": round(first, 1), "after a reload": " ".join(told.split())}
    print(found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("training", "clicks", "runs", "repair"))
    parser.add_argument("--family", default="dcgan")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--models", type=Path, help="a workspace with trained runs; for clicks and runs")
    options = parser.parse_args()
    wanted = options.only or ("training", "clicks", "runs", "repair")
    if "training" in wanted:
        made = cost_of_watching(options.family, options.rounds, options.seconds)
        (RESULTS / "studio-cost.json").write_text(json.dumps(made, indent=2) + "\n")
    file = RESULTS / "studio-figures.json"
    figures = json.loads(file.read_text()) if file.is_file() else {}
    if "clicks" in wanted:
        figures["rows"] = clicks(options.models)
    if "runs" in wanted:
        figures["runs"] = many_runs(next(path for path in sorted((options.models / "runs").iterdir())))
    if "repair" in wanted:
        figures["repair"] = repair()
    if figures:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

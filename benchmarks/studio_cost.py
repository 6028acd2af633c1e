"""What an open studio costs a training: the same run alone, and watched on the Train page in a browser, in turn.

    python benchmarks/studio_cost.py [--rounds 3] [--minutes 1]

Writes benchmarks/results/studio-cost.json. Needs the extras ``studio`` and ``dev`` and a chromium.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gansmith.files.run import Run

RESULTS = Path(__file__).parent / "results" / "studio-cost.json"
SETTLES = 15
"""Seconds a studio has to itself before the training starts: it imports torch then, which watching does not cost."""
GANSMITH = [sys.executable, "-m", "gansmith"]


@contextmanager
def studio(root: Path) -> Iterator[Page]:
    """A studio on a workspace, and a browser's page on it."""
    server = subprocess.Popen([*GANSMITH, "studio", str(root), "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert found, "the studio did not start"
        with sync_playwright() as playwright:
            flags = ["--headless", "--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_page(base_url=found[0], viewport={"width": 1280, "height": 900})
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def alone(root: Path, name: str, family: str, minutes: float) -> float:
    """Images per second of a run in a terminal."""
    run = root / "runs" / name
    command = [*GANSMITH, "train", family, "--data", "mnist10k", "--minutes", str(minutes), "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True)
    return speed(run)


def watched(root: Path, name: str, family: str, minutes: float) -> float:
    """The same, started on the Train page, which stays open and shows its curves and samples."""
    with studio(root) as page:
        page.goto("/#/train?data=mnist10k")
        page.wait_for_timeout(1000 * SETTLES)
        page.get_by_label("Family", exact=True).select_option(family)
        page.get_by_label("How much", exact=True).fill(str(minutes))
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Start", exact=True).click()
        await_end(root / "runs" / name, 60 * (2 * minutes + 2))
    return speed(root / "runs" / name)


def await_end(run: Path, seconds: float) -> None:
    """Wait until a run says of itself that it is finished (the page may still show the run before it)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        if (run / "config.yaml").is_file() and Run.open(run).facts.get("status") == "finished":
            return
    raise SystemExit(f"{run} did not finish within {seconds:.0f} s.")


def speed(run: Path) -> float:
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    return last["images"] / last["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="dcgan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    speeds: dict[str, list[float]] = {"alone": [], "watched in the studio": []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.rounds):
            for name, play in (("alone", alone), ("watched in the studio", watched)):
                speeds[name].append(play(Path(folder), f"{name[:5]}-{i}", options.family, options.minutes))
                print(f"round {i + 1}, {name}: {speeds[name][-1]:,.0f} images/s", flush=True)
    best = {name: max(values) for name, values in speeds.items()}  # what else goes on only makes a round slower
    rows = [
        {"": name, "images/s": round(best[name]), "of each round": " ".join(f"{value:.0f}" for value in values)}
        for name, values in speeds.items()
    ]
    slower = 1 - best["watched in the studio"] / best["alone"]
    print(f"watched, {options.family} trains {100 * slower:.1f} % slower")
    RESULTS.write_text(json.dumps({"rows": rows, "slower": round(slower, 4)}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Stories that go through several pages of the studio, in a real browser: sets, favourites, the coach, many runs, restarts."""

from __future__ import annotations

import re
import shutil
import signal

from gansmith.files.run import Run
from gansmith.game import ImageSpec
from helpers.studio import make_run, save_picture
from helpers.studio_pages import (
    NEEDS_CHROMIUM,
    address,
    browser,
    close_studio,
    expect,
    in_address,
    larger,
    open_studio,
    page,
    place,
    until,
)

__all__ = ["address", "browser", "larger", "page", "place"]
pytestmark = NEEDS_CHROMIUM
FINDING = {
    "kind": "collapse",
    "images": 24,
    "headline": "mode collapse: samples differ by 12% of what real pictures do",
    "advice": "Take --pack 2.",
}


def test_a_set_is_cleaned_renamed_deleted_and_comes_back(page, address, place):
    folder = place / "data" / "messy"
    folder.mkdir()
    for i in range(12):
        save_picture(folder / f"{i}.png", i)
    shutil.copy(folder / "3.png", folder / "twin.png")
    (folder / "cut.png").write_bytes((folder / "1.png").read_bytes()[:200])
    page.goto(f"{address}/#/data?spec=data/messy")
    shown = page.get_by_label("The chosen set")
    expect(shown).to_contain_text("1 duplicate")
    shown.get_by_role("button", name="Take 1 broken file out").click()
    page.locator("dialog .primary").click()
    expect(shown.get_by_role("button", name="Take 1 broken file out")).to_have_count(0)
    assert not (folder / "cut.png").exists()
    shown.get_by_role("button", name="Take 1 duplicate out").click()
    page.locator("dialog .primary").click()
    expect(shown.get_by_text("no problems")).to_be_visible()
    assert len(list(folder.iterdir())) == 12
    page.get_by_role("button", name="Undo").last.click()
    expect(shown.get_by_role("button", name="Take 1 duplicate out")).to_be_visible()
    page.get_by_role("button", name="Rename data/messy").click()
    page.locator("dialog input").fill("tidy")
    page.keyboard.press("Enter")
    expect(shown.locator("h2").first).to_have_text("data/tidy")
    in_address(page, "spec=data/tidy")
    page.get_by_role("button", name="Delete data/tidy").click()
    page.locator("dialog .danger").click()
    expect(page.locator("[data-spec='data/tidy']")).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("[data-spec='data/tidy']")).to_be_visible()
    shutil.rmtree(place / "data" / "tidy")


def test_a_download_is_asked_for_with_its_size_first(page, address):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/api/data/check") else None)
    page.goto(f"{address}/#/data")
    page.locator("summary", has_text="More").click()
    page.locator("[data-spec=cifar10]").click()
    shown = page.get_by_label("The chosen set")
    expect(shown.locator("h2")).to_contain_text("MB to download")
    expect(shown.get_by_role("button", name="Download it and look")).to_be_visible()
    assert asked == []


def test_favourites_are_kept_and_earlier_seeds_come_back(page, address):
    page.goto(f"{address}/#/play?model=runs/digits&seed=11&pick=2&truncation=0.8")
    until(page, "document.querySelector('.tiles')?.dataset.seed === '11'")
    big = page.locator(".in-view")
    assert big.bounding_box()["y"] + big.bounding_box()["height"] <= 900  # the picture is in view
    page.get_by_role("button", name="Keep", exact=True).click()
    kept = page.get_by_role("button", name="Seed 13, class c, truncation 0.80")
    expect(kept).to_be_visible()
    page.get_by_label("First seed", exact=True).fill("900")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.tiles')?.dataset.seed === '900'")
    page.get_by_role("button", name="11", exact=True).click()  # the one before
    until(page, "document.querySelector('.tiles')?.dataset.seed === '11'")
    page.reload()
    kept.click()
    until(page, "document.querySelector('.tiles')?.dataset.seed === '13'")
    page.get_by_role("button", name="Take seed 13 out of the favourites").click()
    expect(kept).to_have_count(0)


def test_the_coach_says_what_the_report_says_and_the_next_step_is_a_button(page, address, place):
    root = make_run(place / "runs" / "collapsed", "dcgan", ImageSpec(16, 16, 1), width=4, latent_dim=8)
    run = Run.open(root)
    run.facts["findings"] = [FINDING]
    run.write_config()
    (root / "report.md").write_text(
        f"# dcgan on mnist10k\n\n## What the coach says\n\n- **{FINDING['headline']}** (from 24 images on). Take --pack 2.\n\n"
        "The best next step:\n\n```bash\ngansmith train r3gan --data mnist10k --batch 16\n```\n"
    )
    page.goto(f"{address}/#/train?run=runs/collapsed")
    coach = page.locator("[data-role=coach]")
    expect(coach).to_contain_text("mode collapse: samples differ by 12% of what real pictures do")
    assert "nothing was wrong" not in page.locator("main").inner_text()
    report = page.locator(".report")
    expect(report).to_contain_text("Take “Pack” 2")
    asked = []

    def again(route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={"run": "runs/faces", "job": "1", "command": "-"})

    page.route("**/api/train/again", again)
    coach.get_by_role("button", name="Start again with Pack 2").click()
    expect(page.locator(".run-title h2")).to_have_text("faces")
    page.goto(f"{address}/#/train?run=runs/collapsed")
    report.get_by_role("button", name="Start again with the family r3gan, Batch 16").click()
    expect(page.locator(".run-title h2")).to_have_text("faces")
    assert asked == [
        {"run": "runs/collapsed", "set": {"pack": 2}, "family": ""},
        {"run": "runs/collapsed", "set": {"batch": 16}, "family": "r3gan"},
    ]


def test_triples_are_labelled_and_plots_of_a_report_turn_dark(page, address, place):
    root = place / "runs" / "holes"
    (root / "report").mkdir(exist_ok=True)
    save_picture(root / "report" / "losses.png", 1)
    (root / "report.md").write_text("# inpaint on photos\n\n## Curves\n\n![](report/losses.png)\n")
    page.goto(f"{address}/#/train?run=runs/holes")
    expect(page.locator(".columns span").first).to_have_text("given")
    assert page.locator(".columns span").all_inner_texts()[:3] == ["given", "made", "true"]
    plot = page.locator(".report img")
    expect(plot).to_have_count(1)
    look = "getComputedStyle(document.querySelector('.report img')).filter"
    assert page.evaluate(look) == "none"
    page.get_by_role("button", name="Dark", exact=True).click()
    until(page, f"{look}.includes('invert')")


def test_many_runs_are_tagged_deleted_and_brought_back_at_once(page, address, place):
    for name in ("bulk-a", "bulk-b", "bulk-c"):
        make_run(place / "runs" / name, "gan", ImageSpec(16, 16, 1), width=4)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/#/runs?compare=none&q=bulk")
    page.locator("tr[data-run]").nth(2).wait_for()
    page.get_by_label("Tick all", exact=True).check()
    bulk = page.get_by_role("group", name="With all that are ticked")
    expect(bulk).to_contain_text("3 ticked")
    bulk.get_by_role("button", name="Tag", exact=True).click()
    page.locator("dialog input").fill("trial")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-run] .tag-chip", has_text="trial")).to_have_count(3)
    page.get_by_role("button", name="Copy the command of bulk-a").click()
    expect(page.locator(".toast", has_text="gansmith train gan")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("gansmith train gan --data")
    bulk.get_by_role("button", name="Delete", exact=True).click()
    page.locator("dialog .danger").click()
    expect(page.locator("tr[data-run]")).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("tr[data-run]")).to_have_count(3)


def test_a_repair_goes_on_after_a_restart_of_the_studio(page, place, larger, tmp_path):
    """The page is left open; the studio is killed in the middle of a picture and started again."""
    page.expected = re.compile("ERR_|Failed to load")
    root = tmp_path / "restarted"
    shutil.copytree(place / "runs" / larger, root / "runs" / "larger")
    server, address = open_studio(root)
    port = int(address.rpartition(":")[2])
    progress = "document.querySelector('[data-role=progress]')?.textContent"
    try:
        page.goto(f"{address}/#/repair?model=runs/larger")
        save_picture(tmp_path / "large.png", 3, 400)
        page.locator(".drop").wait_for()
        page.locator("input[data-role=picture]").set_input_files(tmp_path / "large.png")
        page.locator(".window").wait_for()
        page.get_by_role("button", name="Enlarge").click()
        until(page, f"/tile [1-9]/.test({progress})", 120)
        server.send_signal(signal.SIGKILL)
        server.wait(20)
        expect(page.locator(".banner")).to_be_visible()
        server, _ = open_studio(root, port=port)
        expect(page.locator(".banner")).to_be_hidden()
        page.reload()
        row = page.locator(".history li").first
        expect(row).to_contain_text("large.png")
        expect(row.locator(".chip")).to_have_text("done", timeout=120_000)
        page.get_by_role("slider", name="Before and after").wait_for()
        page.goto("about:blank")
    finally:
        close_studio(root, server)

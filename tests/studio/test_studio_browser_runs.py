"""The Runs page in a real browser: search, order, groups, tags, many at once, comparison beside the list."""

from __future__ import annotations

import csv
import re
import shutil
import time

import pytest

from gansmith.game import ImageSpec
from helpers.studio import make_run
from helpers.studio_pages import (
    LOOK_AGAIN,
    NEEDS_CHROMIUM,
    address,
    answered,
    browser,
    busy,
    drawn,
    expect,
    first_of,
    held,
    in_address,
    page,
    place,
    until,
)

__all__ = ["address", "browser", "page", "place"]
pytestmark = NEEDS_CHROMIUM


def names(page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run.replace('runs/', ''))"
    )


def test_runs_compare_rename_delete_and_undo(page, address, place):
    make_run(place / "runs" / "spare", "gan", ImageSpec(16, 16, 1), width=4)
    page.goto(f"{address}/#/runs")
    row = page.locator("tr[data-run='runs/spare']")
    for name in ("runs/spare", "runs/digits"):
        page.locator(f"tr[data-run='{name}'] input").check()
    compared = page.get_by_label("Comparison")
    expect(compared.locator(".legend button", has_text="spare").first).to_be_visible()
    expect(compared.locator("figure")).not_to_have_count(0)
    expect(compared.locator("tr[data-name=conditional]")).to_be_visible()
    row.get_by_role("button", name="Rename spare").click()
    page.locator("dialog input").fill("kept")
    page.keyboard.press("Enter")
    row = page.locator("tr[data-run='runs/kept']")
    row.get_by_role("button", name="Delete kept").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert not (place / "runs" / "kept").exists()
    page.get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    assert (place / "runs" / "kept" / "config.yaml").is_file()


def test_a_list_asked_for_before_a_rename_is_not_shown_after_it(page, address, place):
    """It names a run that is not there any more, whose thumbnail and curves would be asked for."""
    make_run(place / "runs" / "before", "gan", ImageSpec(16, 16, 1), width=4)
    page.goto(f"{address}/#/runs?compare=runs/before")
    page.get_by_label("Comparison").locator("figure img").first.wait_for()
    late = held(page, "**/api/runs")
    page.evaluate(LOOK_AGAIN)
    route = first_of(page, late)
    answer = route.fetch()
    page.get_by_role("button", name="Rename before").click()
    page.locator("dialog input").fill("after")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-run='runs/after']")).to_be_visible()
    with page.expect_response("**/api/runs") as given:
        route.fulfill(response=answer)
    answered(given, page)
    assert "before" not in names(page)
    expect(page.get_by_label("Comparison").locator("figure a.name")).to_have_text(["after"])


def test_what_differs_is_told_in_words(page, address, place):
    """66 seconds are 66 seconds, and what stands for 'automatic' is no -1."""
    for name, settings in (("slow", {}), ("fast", {"lr": 0.01})):
        root = make_run(place / "runs" / name, "r3gan", ImageSpec(16, 16, 1), width=16, latent_dim=8, **settings)
        with (root / "log.jsonl").open("a") as log:
            log.write(
                '{"images": 48, "step": 6, "progress": 1, "seconds": 66, "images_per_second": 1, "loss/generator": 1}\n'
            )
    page.goto(f"{address}/#/runs?compare=runs/slow,runs/fast")
    table = page.get_by_label("What differs")
    expect(table.locator("tr", has_text="Time").first).to_contain_text("66 s")
    expect(table.locator("tr[data-name=lr]")).to_contain_text("automatic")
    assert "-1" not in table.inner_text().split()
    expect(table.locator("tr[data-name=minutes]")).to_have_count(0)


def test_unticking_stays_unticked(page, address):
    page.goto(f"{address}/#/runs")
    page.locator("tr[data-run] input:checked").first.wait_for()
    page.get_by_role("button", name="Untick all").click()
    with page.expect_response("**/api/runs") as answer:
        page.evaluate(LOOK_AGAIN)
    answered(answer, page)
    assert page.locator("tr[data-run] input:checked").count() == 0
    page.reload()
    page.locator("tr[data-run]").first.wait_for()
    with page.expect_response("**/api/runs") as answer:
        page.evaluate(LOOK_AGAIN)
    answered(answer, page)
    assert page.locator("tr[data-run] input:checked").count() == 0


def test_search_order_groups_and_tags_stand_in_the_address(page, address, place):
    for number in range(3):
        root = make_run(place / "runs" / f"series-{number}", "gan", ImageSpec(16, 16, 1), width=4)
        with (root / "log.jsonl").open("a") as log:
            log.write(
                f'{{"images": {1000 * (3 - number)}, "step": 9, "progress": 1, "seconds": 9, "images_per_second": 1}}\n'
            )
    page.goto(f"{address}/#/runs?compare=none")
    page.get_by_label("Search", exact=True).fill("series")
    until(page, "document.querySelectorAll('tr[data-run]').length === 3")
    page.get_by_role("button", name="Images", exact=True).click()
    assert names(page) == ["series-2", "series-1", "series-0"]
    page.get_by_role("button", name="Images", exact=True).click()
    assert names(page) == ["series-0", "series-1", "series-2"]
    expect(page.locator("th", has_text="Images")).to_have_attribute("aria-sort", "descending")
    for number in (0, 2):
        page.get_by_label(f"Compare series-{number}").check()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.locator("dialog input").fill("good ones")
    page.keyboard.press("Enter")
    expect(page.locator(".tag-chip", has_text="good ones")).to_have_count(2)
    page.get_by_label("Group", exact=True).select_option("tag")
    expect(page.locator(".group th")).to_have_text([re.compile("good ones 2"), re.compile("without a tag 1")])
    page.reload()
    until(page, "document.querySelectorAll('tr[data-run]').length === 3")
    expect(page.locator(".group th")).to_have_count(2)
    assert page.get_by_label("Search", exact=True).input_value() == "series"
    in_address(page, "sort=-images")
    page.get_by_label("Tick all").check()
    page.get_by_role("group", name="With all that are ticked").get_by_role("button", name="Delete").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    until(page, "document.querySelectorAll('tr[data-run]').length === 0")
    page.get_by_role("button", name="Undo").click()
    until(page, "document.querySelectorAll('tr[data-run]').length === 3", 90)


def test_a_run_is_deleted_only_when_nothing_of_it_is_being_asked_for(page, address, place):
    """A comparison that is on its way would be answered with 404."""
    make_run(place / "runs" / "leaving", "gan", ImageSpec(16, 16, 1), width=4)
    page.goto(f"{address}/#/runs?compare=none")
    late = held(page, "**/api/run/log?id=runs%2Fleaving*")
    page.get_by_label("Compare leaving").check()
    log = first_of(page, late)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/api/run/delete") else None)
    page.get_by_role("button", name="Delete leaving").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("dialog")).to_have_count(0)
    drawn(page)
    assert asked == []
    log.continue_()
    until(page, "!document.querySelector(\"tr[data-run='runs/leaving']\")")
    assert len(asked) == 1


def test_curves_axes_and_csv(page, address):
    page.goto(f"{address}/#/runs?compare=runs/digits,runs/faces")
    compared = page.get_by_label("Comparison")
    compared.locator(".chart canvas").first.wait_for()
    before = compared.locator(".chart-card").count()
    page.get_by_label("Add a chart").select_option("images_per_second")
    expect(compared.locator(".chart-card")).to_have_count(before + 1)
    page.get_by_label("Log scale").check()
    page.get_by_role("button", name="Time", exact=True).last.click()
    in_address(page, "log=1")
    in_address(page, "x=seconds")
    in_address(page, "images_per_second")
    page.reload()
    expect(page.get_by_label("Log scale")).to_be_checked()
    expect(page.get_by_label("Comparison").locator(".chart-card")).to_have_count(before + 1)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    table = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert {row["run"] for row in table} == {"digits", "faces"}
    assert float(table[0]["loss/generator"]) == pytest.approx(1.0)
    page.get_by_label("Comparison").get_by_role("button", name="Remove the chart of Speed").click()
    expect(page.get_by_label("Comparison").locator(".chart-card")).to_have_count(before)


def test_samples_are_compared_at_the_same_images_seen(page, address):
    page.goto(f"{address}/#/runs?compare=runs/digits,runs/faces")
    pictures = page.get_by_label("Comparison").locator("figure img")
    pictures.first.wait_for()
    assert all("0000000040" in pictures.nth(i).get_attribute("src") for i in range(2))
    page.get_by_role("slider", name="At").focus()
    page.keyboard.press("Home")
    assert all("0000000008" in pictures.nth(i).get_attribute("src") for i in range(2))
    in_address(page, "at=8")


def test_two_hundred_runs(page, browser, address, place):
    """Usable within a second where the browser has been here before, with less than 500 KB over the network."""
    first = place / "runs" / "digits"
    for number in range(200):
        root = place / "runs" / "many" / f"r{number:03d}"
        (root / "samples").mkdir(parents=True)
        for file in ("config.yaml", "log.jsonl", "samples/0000000040.png"):
            (root / file).write_bytes((first / file).read_bytes())
    try:
        page.goto(f"{address}/#/runs")  # once, so that thumbnails are drawn and logs are read
        page.locator("tr[data-run]").nth(90).wait_for(timeout=60_000)
        loaded: list[int] = []
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        client.on("Network.loadingFinished", lambda told: loaded.append(told["encodedDataLength"]))
        seconds = []
        for _ in range(2):
            page.goto("about:blank")
            loaded.clear()
            started = time.perf_counter()
            page.goto(f"{address}/#/runs")
            page.locator("tr[data-run]").nth(90).wait_for()
            seconds.append(time.perf_counter() - started)
        seen = "[...document.querySelectorAll('main img')].filter((image) => image.getBoundingClientRect().top < innerHeight)"
        until(page, f"{seen}.every((image) => image.complete)")
        drawn(page)
        print(f"200 runs after {min(seconds):.2f} s, {sum(loaded) / 1000:.0f} KB")
        assert sum(loaded) < 500_000
        assert min(seconds) < 1.0 * busy()
        page.get_by_role("button", name=re.compile("^Show all")).click()
        until(page, "document.querySelectorAll('tr[data-run]').length > 200")
    finally:
        page.goto("about:blank")  # it asks for thumbnails as long as it is open
        shutil.rmtree(place / "runs" / "many")

"""The main stories by keyboard alone, in a real browser: train, play, compare, repair, data, the lesson, models."""

from __future__ import annotations

from helpers.studio import save_picture
from helpers.studio_pages import NEEDS_CHROMIUM, address, browser, expect, in_address, page, place, reach, until

__all__ = ["address", "browser", "page", "place"]
pytestmark = NEEDS_CHROMIUM


def test_training_by_keys_alone(page, address, place):
    page.goto(f"{address}/#/train?data=mnist10k&family=r3gan")
    page.locator(".setting[data-name=width]").wait_for(state="attached")
    page.locator("[data-role=filled]").wait_for()
    reach(page, "How much")
    page.keyboard.press("Control+a")
    page.keyboard.type("64")
    reach(page, "Images")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("64")
    reach(page, "Name")
    page.keyboard.type("by keys")
    reach(page, "Start", "button")
    page.keyboard.press("Enter")
    expect(page.get_by_label("The run being watched").locator("h2", has_text="by keys")).to_be_visible()


def test_playing_and_comparing_by_keys_alone(page, address):
    page.goto(f"{address}/#/play?model=runs/digits")
    until(page, "document.querySelector('.tiles')?.dataset.seed === '1'")
    reach(page, "New samples")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.tiles')?.dataset.seed !== '1'")
    reach(page, "Sample 3")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Sample 3", exact=True)).to_have_attribute("aria-pressed", "true")
    page.goto(f"{address}/#/runs?compare=none")
    page.locator("tr[data-run='runs/faces']").wait_for()
    reach(page, "Compare faces")
    page.keyboard.press("Space")
    expect(page.get_by_label("Comparison").locator("figure")).to_have_count(1)
    chart = page.get_by_label("Comparison").locator("canvas").first
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".chart .tip").first).to_be_visible()


def test_repairing_by_keys_alone(page, address, tmp_path):
    save_picture(tmp_path / "photo.png", 9, 64)
    page.goto(f"{address}/#/repair?model=runs/holes")
    page.locator("input[data-role=picture]").set_input_files(
        tmp_path / "photo.png"
    )  # a file dialog is the system's own
    page.locator(".window").wait_for()
    page.locator(".window").focus()
    for key in ("ArrowRight", "ArrowDown", "Space", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    page.keyboard.press("Control+z")
    page.keyboard.press("Shift+Tab")  # before the picture stand its tools and the button
    page.get_by_role("button", name="Fill it in").focus()
    page.keyboard.press("Enter")
    line = page.get_by_role("slider", name="Before and after")
    line.wait_for(timeout=120_000)
    line.focus()
    page.keyboard.press("Home")
    assert line.get_attribute("aria-valuenow") == "0"


def test_looking_at_data_the_lesson_and_models_by_keys_alone(page, address):
    page.goto(f"{address}/#/data")
    page.locator("[data-spec=mnist10k]").wait_for()
    reach(page, "mnist10k")
    page.keyboard.press("Enter")
    page.locator(".wall canvas").first.wait_for()
    reach(page, "Train on this")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Pictures", exact=True)).to_have_value("mnist10k")
    page.goto(f"{address}/#/understand")
    step = page.locator(".panel figcaption .number")
    expect(step).to_have_text("step 0")
    reach(page, "Step", "button")
    page.keyboard.press("Enter")
    expect(step).to_have_text("step 5")
    page.keyboard.press("Enter")  # the focus has stayed
    expect(step).to_have_text("step 10")
    reach(page, "Pushes", "input")
    page.keyboard.press("Space")
    in_address(page, "show=landscape,push,real")
    page.goto(f"{address}/#/models")
    page.locator(".ready li").first.wait_for()
    reach(page, "digits", "button")
    page.keyboard.press("Enter")
    expect(page.locator("main h2", has_text="Export")).to_be_visible()
    reach(page, "Model card", "summary")
    page.keyboard.press("Enter")
    expect(page.locator(".console, .prose").first).to_be_visible()

"""The Repair page in a real browser: painting, jobs that survive, batches, keys."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from helpers.studio import save_picture
from helpers.studio_pages import (
    NEEDS_CHROMIUM,
    address,
    answered,
    browser,
    busy,
    drawn,
    expect,
    first_of,
    held,
    larger,
    page,
    place,
    repairer_rests,
    until,
)

__all__ = ["address", "browser", "larger", "page", "place"]
pytestmark = NEEDS_CHROMIUM


def load(page, *files) -> None:
    page.locator("input[data-role=picture]").set_input_files(list(files))
    page.locator(".window").wait_for()


def test_a_picture_may_come_before_the_model(page, address, tmp_path):
    """What a model can do is told once it is loaded, which takes a while for a large one."""
    save_picture(tmp_path / "photo.png", 9, 32)
    models = held(page, "**/api/model?*")
    page.goto(f"{address}/#/repair?model=runs/holes")
    with page.expect_response("**/api/repair?job=*") as answer:
        page.locator("input[data-role=picture]").set_input_files(tmp_path / "photo.png")
    answered(answer, page)
    first_of(page, models).continue_()
    page.locator(".window").wait_for()
    expect(page.get_by_role("button", name="Fill it in")).to_be_enabled()


def drag(page, x0: float, y0: float, x1: float, y1: float) -> None:
    """Drag over the picture's window, in shares of it."""
    box = page.locator(".window").bounding_box()
    page.mouse.move(box["x"] + box["width"] * x0, box["y"] + box["height"] * y0)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * x1, box["y"] + box["height"] * y1, steps=5)
    page.mouse.up()


def inked(page) -> float:
    """The share of the mask that is painted."""
    return page.evaluate(
        "(() => { const c = document.querySelector('.brush'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 127; return n / (d.length / 4); })()"
    )


def test_repair_paint_fill_and_download(page, address, tmp_path):
    page.goto(f"{address}/#/repair?model=runs/holes")
    save_picture(tmp_path / "photo.png", 9, 96)
    load(page, tmp_path / "photo.png")
    page.get_by_role("button", name="Fill it in").click()
    expect(page.locator(".toast")).to_contain_text("Paint over")
    drag(page, 0.6, 0.5, 0.8, 0.5)
    page.get_by_role("button", name="Fill it in").click()
    line = page.get_by_role("slider", name="Before and after")
    line.wait_for()
    assert 60 <= int(line.get_attribute("aria-valuenow")) <= 80  # where something has changed
    line.focus()
    page.keyboard.press("End")
    assert line.get_attribute("aria-valuenow") == "100"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "photo.png"
    before, after = (np.asarray(Image.open(path)) for path in (tmp_path / "photo.png", download.value.path()))
    changed = (before != after).any(-1)
    assert changed[40:56].any()
    assert not changed[:30].any()
    assert not changed[66:].any()


def test_the_mask_is_undone_erased_inverted_and_zoomed_by_keys(page, address, tmp_path):
    page.goto(f"{address}/#/repair?model=runs/holes")
    save_picture(tmp_path / "photo.png", 9, 200)
    load(page, tmp_path / "photo.png")
    drag(page, 0.2, 0.5, 0.8, 0.5)
    one = inked(page)
    assert 0.02 < one < 0.2
    page.keyboard.press("r")
    drag(page, 0.1, 0.1, 0.5, 0.3)
    two = inked(page)
    assert two == pytest.approx(one + 0.4 * 0.2, abs=0.01)
    page.keyboard.press("Control+z")
    assert inked(page) == pytest.approx(one, abs=1e-3)
    page.keyboard.press("Control+Shift+z")
    assert inked(page) == pytest.approx(two, abs=1e-3)
    page.keyboard.press("e")
    drag(page, 0.2, 0.5, 0.8, 0.5)
    assert inked(page) == pytest.approx(0.4 * 0.2, abs=0.01)
    page.keyboard.press("i")
    assert inked(page) == pytest.approx(1 - 0.4 * 0.2, abs=0.01)
    window = page.locator(".window")
    fitted = float(window.get_attribute("data-scale"))
    page.keyboard.press("1")
    assert float(window.get_attribute("data-scale")) == pytest.approx(1)
    page.keyboard.press("+")
    assert float(window.get_attribute("data-scale")) > 1
    page.keyboard.press("0")
    assert float(window.get_attribute("data-scale")) == pytest.approx(fitted)
    page.mouse.move(*[window.bounding_box()[k] + 100 for k in ("x", "y")])
    page.keyboard.press("b")
    expect(page.locator(".brush-cursor")).to_be_visible()
    width = page.locator(".brush-cursor").bounding_box()["width"]
    page.keyboard.press("]")
    assert page.locator(".brush-cursor").bounding_box()["width"] > width


def test_masks_come_from_files_and_from_what_is_transparent(page, address, tmp_path):
    picture = np.full((60, 80, 4), 255, np.uint8)
    picture[:, :40, 3] = 0
    Image.fromarray(picture).save(tmp_path / "half.png")
    light = np.zeros((60, 80), np.uint8)
    light[:15] = 255
    Image.fromarray(light).save(tmp_path / "mask.png")
    page.goto(f"{address}/#/repair?model=runs/holes")
    load(page, tmp_path / "half.png")
    page.get_by_role("button", name="Mask what is transparent").click()
    until(page, "document.querySelector('.brush').getContext('2d').getImageData(5, 5, 1, 1).data[3] > 127")
    assert inked(page) == pytest.approx(0.5, abs=0.02)
    with page.expect_response("**/api/upload/mask?*"):  # stored
        page.get_by_role("button", name="Clear the mask").click()
    with page.expect_response("**/api/upload/mask?*") as stored:
        page.locator("input[data-role=mask]").set_input_files(tmp_path / "mask.png")
    until(page, "document.querySelector('.brush').getContext('2d').getImageData(70, 5, 1, 1).data[3] > 127")
    assert inked(page) == pytest.approx(0.25, abs=0.02)
    answered(stored, page)
    page.reload()
    page.locator(".brush").wait_for()
    until(page, "document.querySelector('.brush').getContext('2d').getImageData(70, 5, 1, 1).data[3] > 127")
    assert inked(page) == pytest.approx(0.25, abs=0.02)  # the picture and what was painted are still there


def test_a_long_repair_is_seen_at_once_survives_a_reload_and_stops(page, address, place, larger, tmp_path):
    page.goto(f"{address}/#/repair?model=runs/{larger}")
    page.locator("main h1").wait_for()
    save_picture(tmp_path / "large.png", 3, 960)
    load(page, tmp_path / "large.png")
    repairer_rests(place)  # it starts meanwhile, as it does while somebody looks at a picture
    started = time.monotonic()
    page.get_by_role("button", name="Enlarge").click()
    told = page.locator("[data-role=progress]")
    until(page, "/Loading|tile|so far/.test(document.querySelector('[data-role=progress]')?.textContent)", 60)
    seconds = time.monotonic() - started
    print(f"progress after {seconds:.2f} s")
    assert seconds < 1.0 * busy() + 1.0
    until(page, "/tile [1-9]/.test(document.querySelector('[data-role=progress]')?.textContent)", 200)
    expect(told).to_contain_text("left")
    page.reload()
    until(page, "/tile [1-9]/.test(document.querySelector('[data-role=progress]')?.textContent)", 60)
    assert 0 < float(page.locator(".bar[data-share]").get_attribute("data-share")) < 1
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("[data-status=cancelled]")).to_be_visible(timeout=60_000)
    row = page.locator(".history li").first
    expect(row).to_contain_text("large.png")
    expect(row.locator(".chip")).to_have_text("cancelled")


def test_a_batch_of_several_pictures(page, address, place, tmp_path):
    for i in range(3):
        save_picture(tmp_path / f"{i}.png", i, 60)
    page.goto(f"{address}/#/repair?model=runs/holes")
    load(page, *(tmp_path / f"{i}.png" for i in range(3)))
    expect(page.locator(".strip li")).to_have_count(3)
    drag(page, 0.4, 0.5, 0.6, 0.5)
    page.get_by_role("button", name="Take 2.png out").click()
    expect(page.locator(".strip li")).to_have_count(2)
    page.get_by_role("button", name="This mask for all pictures").click()
    expect(page.locator(".strip [data-state=masked]")).to_have_count(2)
    page.get_by_role("button", name="Fill it in").click()
    page.get_by_role("slider", name="Before and after").wait_for(timeout=120_000)
    expect(page.locator(".strip [data-state=done]")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="All 2 as a zip").click()
    import zipfile

    assert zipfile.ZipFile(download.value.path()).namelist() == ["0.png", "1.png"]
    page.get_by_role("button", name="Go on from the result").click()
    page.locator(".brush").wait_for()
    page.go_back()  # to the results
    page.get_by_role("slider", name="Before and after").wait_for()
    page.locator(".history li").first.get_by_role("button", name="Delete the repair").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Drop pictures or a folder here")).to_be_visible()


def test_a_picture_is_pasted(page, address):
    page.goto(f"{address}/#/repair?model=runs/holes")
    page.locator(".drop").wait_for()
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement('canvas'), { width: 50, height: 40 });
          canvas.getContext('2d').fillRect(5, 5, 20, 20);
          const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
          const data = new DataTransfer();
          data.items.add(new File([blob], 'image.png', { type: 'image/png' }));
          window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
        }"""
    )
    page.locator(".brush").wait_for()
    expect(page.locator("main")).to_contain_text("50 x 40")


def test_a_portrait_is_not_stretched(page, address, tmp_path):
    page.goto(f"{address}/#/repair?model=runs/holes")
    Image.fromarray(np.zeros((400, 100, 3), np.uint8)).save(tmp_path / "tall.png")
    load(page, tmp_path / "tall.png")
    until(page, "document.querySelector('.sheet img')?.complete")
    drawn(page)
    box = page.locator(".sheet img").bounding_box()
    assert box["height"] / box["width"] == pytest.approx(4, rel=0.02)
    assert box["height"] < 900

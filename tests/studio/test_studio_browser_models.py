"""Ready models in the first minute, and what can be done with one's own: measured, exported, shared."""

from __future__ import annotations

import io
import re
import zipfile

import pytest

from gansmith.game import ImageSpec
from helpers.catalogue import home, served
from helpers.studio import make_run, save_picture
from helpers.studio_pages import (
    NEEDS_CHROMIUM,
    address,
    browser,
    close_studio,
    expect,
    in_address,
    open_studio,
    page,
    place,
)

__all__ = ["address", "browser", "home", "page", "place", "served"]
pytestmark = NEEDS_CHROMIUM


def test_a_workspace_without_models_repairs_in_the_first_minute(page, home, tmp_path):
    root = tmp_path / "new"
    server, address = open_studio(root)
    try:
        page.goto(f"{address}/#/repair")
        card = page.locator("li[data-model=tiny]")
        expect(card).to_contain_text("Licence: Free.")
        expect(page.locator("li[data-model=tiny-closed]")).to_contain_text("Not for commercial use")
        card.get_by_role("button").click()
        dialog = page.locator("dialog")
        expect(dialog).to_contain_text("KB")
        expect(dialog).to_contain_text("everything")
        dialog.get_by_role("button", name="Cancel").click()
        assert not (root / "models").exists()
        card.get_by_role("button").click()
        page.locator("dialog").get_by_role("button", name="Accept and download").click()
        save_picture(tmp_path / "small.png", 3, 24)
        page.locator("input[data-role=picture]").set_input_files(tmp_path / "small.png")
        in_address(page, "model=models/tiny")
        page.get_by_role("button", name="Enlarge x2").click()
        page.get_by_role("slider", name="Before and after").wait_for()
        page.goto(f"{address}/#/models")
        expect(page.locator("li[data-model=tiny]").get_by_role("link", name=re.compile("tiny"))).to_have_attribute(
            "href", "#/repair?model=models/tiny"
        )
        page.goto("about:blank")
    finally:
        close_studio(root, server)


def test_a_model_is_measured_and_its_scores_stand_beside_the_run(page, address, place):
    make_run(place / "runs" / "plain", "gan", ImageSpec(28, 28, 1), width=8)
    page.goto(f"{address}/#/models?model=runs/faces")
    page.get_by_label("Real pictures", exact=True).fill("nothing/here")
    page.expected = re.compile("404")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator(".note.bad")).to_contain_text("There is nothing at")
    page.goto(f"{address}/#/models?model=runs/plain")
    expect(page.get_by_label("Real pictures", exact=True)).to_have_value("mnist10k")
    page.get_by_label("Pictures", exact=True).select_option("500")
    page.get_by_label("What", exact=True).select_option("swd")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator(".task")).to_be_visible()
    page.reload()  # it goes on, and is found again
    expect(page.locator(".table th", has_text="SWD").first).to_be_visible()
    page.goto(f"{address}/#/runs?compare=none")
    expect(page.locator("th .sort", has_text="SWD").first).to_be_visible()
    cell = page.locator("tr[data-run='runs/plain'] td.right.wide").nth(2)
    assert float(cell.inner_text()) > 1


def test_a_measurement_is_stopped(page, address):
    page.goto(f"{address}/#/models?model=runs/digits")
    page.get_by_role("button", name="Measure", exact=True).click()
    page.locator(".task").get_by_role("button", name="Stop").click()
    expect(page.locator(".task")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_enabled()
    expect(page.locator(".task")).to_have_count(0)


def test_a_model_is_exported_and_taken_home(page, address):
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    page.goto(f"{address}/#/models?model=runs/digits")
    page.get_by_role("button", name="One web page").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "digits.html"
    assert "<html" in download.value.path().read_text("utf-8", "replace")[:2000].lower()
    with page.expect_download() as download:
        page.get_by_role("link", name="Model folder").click()
    assert download.value.suggested_filename == "digits.zip"
    names = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())).namelist()
    assert {"digits/config.json", "digits/model.safetensors", "digits/README.md"} <= set(names)
    page.get_by_text("Model card").click()
    expect(page.locator("code.command")).to_have_text("gansmith.load('runs/digits').push_to_hub('NAME/digits')")
    expect(page.locator(".prose h3").first).to_be_visible()

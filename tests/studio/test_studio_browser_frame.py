"""What every page shares, in a real browser: the address, signing in, a server that is gone, phones, languages."""

from __future__ import annotations

import re
import signal

from gansmith.game import ImageSpec
from helpers.studio import make_run, save_picture
from helpers.studio_pages import (
    LOOK_AGAIN,
    NEEDS_CHROMIUM,
    address,
    answered,
    browser,
    close_studio,
    expect,
    in_address,
    open_studio,
    page,
    place,
    until,
)

__all__ = ["address", "browser", "page", "place"]
pytestmark = NEEDS_CHROMIUM


# --- the address ------------------------------------------------------------------------------------------------------


def test_what_is_chosen_stands_in_the_address(page, address):
    page.goto(f"{address}/#/play?model=runs/digits")
    until(page, "document.querySelector('.tiles')?.dataset.seed === '1'")
    page.get_by_label("First seed", exact=True).fill("77")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.tiles')?.dataset.seed === '77'")
    page.get_by_role("button", name="Sample 4", exact=True).click()
    page.get_by_label("Truncation").fill("0.7")
    page.get_by_label("Class").select_option("1")
    for words in ("seed=77", "truncation=0.7", "label=1"):
        in_address(page, words)
    page.reload()
    until(page, "document.querySelector('.tiles')?.dataset.seed === '77'")
    expect(page.get_by_text("seed 80")).to_be_visible()
    assert page.get_by_label("Truncation").input_value() == "0.7"
    assert page.get_by_label("Class").input_value() == "1"
    page.get_by_role("button", name="Walk").click()
    page.get_by_label("Direction 1").fill("1.5")
    page.reload()
    until(page, "document.querySelector('.walk .big')?.width > 1")
    assert page.get_by_label("Direction 1").input_value() == "1.5"

    page.goto(f"{address}/#/understand?chapter=2")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Grid").click()
    page.get_by_role("button", name="R3GAN").click()
    page.reload()
    expect(page.locator(".lesson h2")).to_have_text("The chase")
    expect(page.get_by_role("button", name="Grid")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".panel")).to_have_count(2)

    page.goto(f"{address}/#/data")
    page.locator("[data-spec='data/mixed']").click()
    page.locator("[data-spec=mnist10k]").click()
    expect(page.get_by_label("The chosen set").locator("h2").first).to_have_text("mnist10k")
    page.go_back()
    expect(page.get_by_label("The chosen set").locator("h2").first).to_have_text("data/mixed")

    page.goto(f"{address}/#/train")
    page.locator(".run-title h2").wait_for()
    in_address(page, "run=runs")


def test_changing_the_family_keeps_what_was_typed(page, address):
    page.goto(f"{address}/#/train?data=mnist10k")
    page.get_by_text("Settings of r3gan").click()
    page.locator("summary", has_text="The run").click()
    page.locator(".setting[data-name=batch] input").fill("48")
    page.locator(".setting[data-name=width] input").fill("32")
    page.get_by_label("How much", exact=True).fill("33")
    page.get_by_label("Family", exact=True).select_option("gan")
    expect(page.get_by_text("Settings of gan")).to_be_visible()
    assert page.locator(".setting[data-name=batch] input").input_value() == "48"
    assert page.locator(".setting[data-name=width] input").input_value() == "32"
    assert page.get_by_label("How much", exact=True).input_value() == "33"
    page.goto(f"{address}/#/runs")
    page.locator("main h1", has_text="Runs").wait_for()
    page.goto(f"{address}/#/train")
    page.locator("summary", has_text="The run").click()
    assert page.locator(".setting[data-name=batch] input").input_value() == "48"
    page.reload()
    page.locator("summary", has_text="The run").click()
    assert page.locator(".setting[data-name=batch] input").input_value() == "48"
    page.get_by_role("button", name="All defaults").click()
    assert page.locator(".setting[data-name=batch] input").input_value() == ""


def test_a_purpose_fills_the_form_in_and_says_what_to_expect(page, address):
    found = {"images_per_second": 1000.0, "step_seconds": 0.06, "memory": 3 << 28, "available": 1 << 33, "fits": True, "batch": 64, "advice": ["Advice."]}  # fmt: skip
    asked = []
    page.route(
        "**/api/train/estimate",
        lambda route: (asked.append(route.request.post_data_json), route.fulfill(json={"result": found})),
    )
    page.goto(f"{address}/#/train")
    page.get_by_role("button", name=re.compile("Digits in three minutes")).click()
    expect(page.locator("[data-role=quality]")).to_contain_text("ten rows of digits")
    needs = page.locator("[data-role=estimate]")
    expect(needs).to_contain_text("About 3 min 0 s for 180 k images, at 1,000 images per second")
    expect(needs).to_contain_text("about 768 MB of 8.0 GB free")
    expect(needs).to_contain_text("saw 426 k images, which takes about 7 min")
    assert asked[0]["name"] == "r3gan"
    assert asked[0]["data"] == ["mnist10k"]
    page.get_by_label("How much", exact=True).fill("5")
    expect(needs).to_be_empty()  # of another run now
    page.get_by_role("button", name=re.compile("Few pictures")).click()
    expect(page.get_by_label("Family", exact=True)).to_have_value("r3gan")
    page.locator("summary", has_text="Learning").click()
    expect(page.locator(".setting[data-name=augment] select")).to_have_value("ada")
    expect(page.locator("#new-run")).to_contain_text("rarely collapses")
    page.get_by_text("More, in the paper's words").click()
    expect(page.locator("#new-run")).to_contain_text("arXiv:2501.05441")


def test_photographs_are_filled_in_and_errors_bring_their_cure(page, address, place):
    page.expected = re.compile("400")
    folder = place / "data" / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    from PIL import Image

    for i in range(12):
        Image.effect_noise((90 + 10 * (i % 3), 80), 60).convert("RGB").save(folder / f"{i}.png")
    page.goto(f"{address}/#/data?spec=data/photos")
    page.get_by_role("link", name="Train with Flip").click()  # what the check proposes beside it
    expect(page.locator(".setting[data-name=flip] input")).to_be_checked()
    expect(page.locator(".setting[data-name=flip]")).to_be_visible()
    page.get_by_role("button", name="All defaults").click()
    page.goto(f"{address}/#/data?spec=data/photos")
    page.get_by_role("link", name="Train on this").click()
    expect(page.get_by_label("Family", exact=True)).to_have_value(re.compile("r3gan|projected"))
    expect(page.locator("[data-role=filled]")).to_contain_text("Size 64")
    expect(page.locator("[data-role=filled]")).to_contain_text("3 different sizes")
    assert page.locator(".setting[data-name=size] input").input_value() == "64"
    page.get_by_label("Pictures", exact=True).fill("mnist10k")
    expect(page.locator("[data-role=filled]", has_text="Size 64")).to_have_count(0)
    assert page.locator(".setting[data-name=size] input").input_value() == ""  # what the data suggested goes with it
    page.locator("summary", has_text="The run").click()
    page.locator(".setting[data-name=batch] input").fill("30")
    page.locator(".setting[data-name=accumulate] input").fill("4")
    page.get_by_label("How much", exact=True).fill("1")
    page.get_by_role("group", name="Unit").get_by_role("button", name="Images").click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".setting[data-name=batch] input")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".setting[data-name=batch] .problem")).to_contain_text("multiple")
    page.get_by_label("Name", exact=True).fill("cured")
    page.get_by_role("button", name="Start with Batch 32").click()
    expect(page.get_by_label("The run being watched").locator("h2", has_text="cured")).to_be_visible()
    assert (place / "runs" / "cured").exists() or list(place.glob(".gansmith/studio/jobs/*"))


def test_a_link_to_a_run_shows_the_run_on_a_phone(browser, address, tmp_path):
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US")
    phone = context.new_page()
    phone.goto(f"{address}/#/train?run=runs/faces")
    title = phone.locator(".run-title h2")
    title.wait_for()
    assert title.bounding_box()["y"] < 844
    phone.goto(f"{address}/#/train")
    phone.get_by_role("button", name="Start", exact=True).wait_for()
    phone.locator(".run-title h2").wait_for()
    assert phone.locator("#new-run").bounding_box()["y"] < phone.locator(".run-title").bounding_box()["y"]
    start = phone.get_by_role("button", name="Start", exact=True).bounding_box()
    assert start["y"] + start["height"] < 844  # where the thumb is, also while the form is longer than the screen
    save_picture(tmp_path / "photo.png", 9, 64)
    phone.goto(f"{address}/#/repair?model=runs/holes")
    phone.locator("input[data-role=picture]").set_input_files(tmp_path / "photo.png")
    go = phone.get_by_role("button", name="Fill it in")
    go.wait_for()
    assert go.bounding_box()["y"] + go.bounding_box()["height"] <= phone.locator(".side").bounding_box()["y"]
    phone.goto(f"{address}/#/play?model=runs/digits")
    until(phone, "document.querySelector('.tiles')?.dataset.seed === '1'")
    more = phone.get_by_role("button", name="New samples").bounding_box()
    assert more["y"] + more["height"] <= phone.locator(".side").bounding_box()["y"]
    before = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    phone.get_by_role("button", name="Dark", exact=True).click()
    assert phone.evaluate("getComputedStyle(document.body).backgroundColor") != before
    context.close()


def test_the_title_tells_how_far_a_run_is_and_its_end_is_told(page, address):
    job = {
        "id": "00000000000000000007",
        "run": "runs/faces",
        "title": "",
        "kind": "new",
        "created": 0,
        "ended": None,
        "code": None,
    }
    now = [job | {"status": "running", "progress": 0.425}]
    page.route("**/api/jobs", lambda route: route.fulfill(json=now))
    page.goto(f"{address}/#/understand")
    until(page, "document.title.startsWith('42 % faces - ')")
    now[0] = job | {"status": "done"}
    page.evaluate(LOOK_AGAIN)
    expect(page.locator(".toast")).to_contain_text("faces has ended.")
    assert page.title() == "Understand - gansmith studio"
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_label("The run being watched").locator("h2", has_text="faces")).to_be_visible()


def test_the_skip_link_skips(page, address):
    page.goto(f"{address}/#/runs")
    page.locator("tr[data-run]").first.wait_for()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    in_address(page, "#/runs")
    expect(page.locator("main h1")).to_have_text("Runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


# --- the server -------------------------------------------------------------------------------------------------------


def test_signing_in_leads_to_the_page_that_was_asked_for(page, tmp_path):
    page.expected = re.compile("401|429")
    root = tmp_path / "guarded"
    make_run(root / "runs" / "mine", "gan", ImageSpec(16, 16, 1), width=4)
    server, address = open_studio(root, "--password", "forge")
    try:
        page.goto(f"{address}/#/runs?compare=runs/mine&sort=name")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not the password")
        for _ in range(5):
            page.get_by_role("button", name="Sign in").wait_for()  # while it counts seconds it is called otherwise
            if "Too many" in page.get_by_role("alert").inner_text():
                break
            page.get_by_label("Password").fill("wrong")
            with page.expect_response("**/api/login") as answer:
                page.keyboard.press("Enter")
            answered(answer, page)
        expect(page.get_by_role("alert")).to_contain_text("Too many wrong passwords")
        page.get_by_role("button", name="Sign in").wait_for()  # once the seconds are over
        page.get_by_label("Password").fill("forge")
        page.keyboard.press("Enter")
        expect(page.locator("main h1")).to_have_text("Runs")
        assert page.url.endswith("#/runs?compare=runs/mine&sort=name")
        page.goto("about:blank")
    finally:
        close_studio(root, server)


def test_a_server_that_is_gone_is_said_and_the_page_mends_itself(page, tmp_path):
    page.expected = re.compile(
        "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK|Failed to load"
    )
    root = tmp_path / "fragile"
    make_run(root / "runs" / "first", "gan", ImageSpec(16, 16, 1), width=4)
    server, address = open_studio(root)
    port = int(address.rpartition(":")[2])
    try:
        page.goto(f"{address}/#/runs")
        page.locator("tr[data-run='runs/first']").wait_for()
        server.send_signal(signal.SIGKILL)
        server.wait(20)
        banner = page.locator(".banner")
        expect(banner).to_be_visible()
        expect(banner).to_contain_text("does not answer")
        with page.expect_event("requestfailed", lambda asked: asked.url.endswith(("/data.js", "/api/data"))):
            page.get_by_role("link", name="Data", exact=True).click()  # a page that cannot be opened now
        make_run(root / "runs" / "second", "gan", ImageSpec(16, 16, 1), width=4)
        server, _ = open_studio(root, port=port)
        expect(banner).to_be_hidden()
        expect(page.locator("[data-spec=mnist10k]")).to_be_visible()
        page.get_by_role("link", name="Runs", exact=True).click()
        expect(page.locator("tr[data-run='runs/second']")).to_be_visible()
        assert page.locator(".toast.bad").count() == 0
    finally:
        close_studio(root, server)


# --- languages --------------------------------------------------------------------------------------------------------


def test_the_language_is_the_browsers_and_can_be_switched(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    chinese = context.new_page()
    chinese.goto(f"{address}/#/train?data=nothing")
    expect(chinese.locator("main h1")).to_have_text("训练")
    assert chinese.evaluate("document.documentElement.lang") == "zh-Hans"
    chinese.get_by_role("button", name="开始", exact=True).click()
    expect(chinese.locator("#new-run [role=alert] .problem")).to_contain_text("工作区")  # the server's words too
    batch = chinese.locator(".setting[data-name=batch]")
    assert (batch.locator(".label").text_content() or "").split() == ["批大小", "batch"]
    help_ = batch.locator(".help").text_content()
    assert re.search("[\u4e00-\u9fff]", help_), help_
    chinese.goto(f"{address}/#/train?run=runs/digits")  # so are the curves' names and switches
    expect(chinese.locator(".chart-card h3").first).to_have_text("损失")
    expect(chinese.locator(".chart .legend").first).to_contain_text("生成器")
    chinese.get_by_label("对数坐标").click()
    in_address(chinese, "log=1")
    chinese.get_by_role("button", name="English").click()
    expect(chinese.locator("main h1")).to_have_text("Train")
    expect(chinese.locator(".chart .legend").first).to_contain_text("Generator")
    chinese.reload()
    expect(chinese.locator("main h1")).to_have_text("Train")
    context.close()

"""A newcomer's first steps in a real browser, by mouse in English and by keys in Chinese, and what the server remembers of them."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("starlette", reason="the studio's extra is not installed")
from starlette.testclient import TestClient

from gansmith.game import ImageSpec
from gansmith.studio.app import create_app
from helpers.studio import BASE, SAFE, body, make_run
from helpers.studio_pages import (
    LOOK_AGAIN,
    NEEDS_CHROMIUM,
    browser,
    close_studio,
    expect,
    in_address,
    open_studio,
    page,
    reach,
    until,
)

__all__ = ["browser", "page"]
SHORT = [
    {"key": "digits", "family": "gan", "data": "mnist10k", "goal": "images", "amount": 64, "set": {"width": 8}, "seen": 0}
]  # fmt: skip
"""The preset of the first steps, in a second instead of three minutes."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    root = tmp_path_factory.mktemp("empty")
    server, found = open_studio(root)
    yield root, found
    close_studio(root, server)


@NEEDS_CHROMIUM
def test_a_newcomer_is_led_from_data_to_training_to_playing(page, empty):
    root, address = empty
    page.route("**/api/presets", lambda route: route.fulfill(json=SHORT))
    page.goto(address)
    expect(page.locator("main h1")).to_have_text("Welcome")
    expect(page.locator("[data-step=play] button")).to_be_disabled()
    page.get_by_role("button", name="Look at the digits").click()
    expect(page.get_by_text("Ready to train on: 10,000 pictures")).to_be_visible()
    bar = page.get_by_role("region", name="First steps")
    expect(bar.locator("li.done")).to_have_text(["DataDone"])
    bar.get_by_role("button", name="Train for three minutes").click()
    expect(page.get_by_label("The run being watched").locator("h2").first).to_have_text("gan-mnist10k-001")
    expect(bar.locator("li.done")).to_have_count(2)
    page.goto(f"{address}/#/welcome")  # the steps stand there as they are
    expect(page.locator("[data-step=train]")).to_contain_text("Done")
    page.locator("[data-step=play] button:enabled").click(timeout=200_000)  # once there is a model
    until(page, "document.querySelector('.tiles')?.dataset.seed === '1'")
    in_address(page, "model=runs/gan-mnist10k-001")
    expect(bar).to_contain_text("That was all")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.locator("main h1")).to_have_text("Runs")
    expect(bar).to_be_hidden()
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("main h1")).to_have_text("Data")
    assert json.loads((root / ".gansmith/studio/welcome.json").read_text())["left"]


@NEEDS_CHROMIUM
def test_a_page_that_was_clicked_meanwhile_is_not_overwritten(page, empty):
    """An address without a page asks the server whether the first steps stand there; a click may come before the answer."""
    _, address = empty
    held, loaded = [], []
    page.route("**/api/welcome", lambda route: held.append(route))
    page.on("request", lambda asked: loaded.append(asked.url.rpartition("/js/")[2]))
    page.goto(address)
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.locator("main h1")).to_have_text("Runs")
    active = {"active": True, "done": {"data": False, "train": False, "play": False}, "run": None}
    for route in held:
        route.fulfill(json=active | {"status": "", "progress": 0.0, "model": False})
    expect(page.get_by_role("region", name="First steps")).to_be_visible()  # the answer has come
    expect(page.locator("main h1")).to_have_text("Runs")
    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.locator("main h1")).to_have_text("Models")
    assert "pages/models.js" in loaded
    assert not {"pages/welcome.js", "pages/data.js"} & set(loaded)


@NEEDS_CHROMIUM
def test_the_first_steps_by_keys_alone_in_chinese_and_left_again(browser, empty):
    root, address = empty
    shutil.rmtree(root / "runs", ignore_errors=True)
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    phone = context.new_page()

    def train(route):
        make_run(root / "runs" / "quick", "gan", ImageSpec(16, 16, 1), width=4)
        route.fulfill(json={"run": "runs/quick", "job": "1", "command": "-"})

    phone.route("**/api/train", train)
    phone.goto(f"{address}/#/data")
    reach(phone, "入门步骤", "button")  # called again
    phone.keyboard.press("Enter")
    expect(phone.locator("main h1")).to_have_text("欢迎")
    reach(phone, "查看数字")
    phone.keyboard.press("Enter")
    bar = phone.locator(".guide")
    expect(bar).to_contain_text("让两个网络学会画这样的数字")
    top = "document.querySelector('[aria-label=所选的数据集] h2')?.getBoundingClientRect().y"
    until(phone, f"{top} < 400")  # the digits stand first
    reach(phone, "训练三分钟")
    phone.keyboard.press("Enter")
    expect(phone.locator(".run-title h2")).to_have_text("quick")
    reach(phone, "试用模型")
    phone.keyboard.press("Space")
    until(phone, "document.querySelector('.tiles')?.dataset.seed === '1'")
    expect(bar).to_contain_text("全部完成")
    reach(phone, "关闭")
    phone.keyboard.press("Enter")
    expect(bar).to_be_hidden()
    phone.evaluate(LOOK_AGAIN)
    expect(bar).to_be_hidden()
    reach(phone, "入门步骤", "button")
    phone.keyboard.press("Enter")
    expect(phone.locator("main h1")).to_have_text("欢迎")
    reach(phone, "离开入门步骤")
    phone.keyboard.press("Enter")
    expect(phone.locator("main h1")).to_have_text("数据")
    expect(bar).to_be_hidden()
    context.close()


def test_what_the_server_says_of_the_first_steps(tmp_path):
    file = tmp_path / ".gansmith" / "studio" / "welcome.json"
    with TestClient(create_app(tmp_path, warm_up=False), base_url=BASE, headers=SAFE) as client:

        def now() -> dict:
            return body(client.get("/api/welcome"))

        def note(**words) -> None:
            body(client.post("/api/welcome", json=words))

        nothing = {"data": False, "train": False, "play": False}
        assert now() == {"active": True, "done": nothing, "run": None, "status": "", "progress": 0.0, "model": False}
        note(step="data")
        assert now()["done"] == nothing | {"data": True}
        make_run(tmp_path / "runs" / "fills", "inpaint", ImageSpec(32, 32, 3), width=8)
        assert now()["run"] is None  # nothing to play with
        make_run(tmp_path / "runs" / "mine", "gan", ImageSpec(16, 16, 1), width=4)
        told = now()
        assert (told["active"], told["run"], told["model"]) == (True, "runs/mine", True)  # begun: they lead on
        note(leave=True)
        assert not now()["active"]
        note(step="data")
        assert not now()["active"]  # who has left is not led again
        note(again=True)
        assert now()["active"]
        note(step="play", run="runs/mine")
        assert now()["done"] == {"data": True, "train": True, "play": True}
        assert not now()["active"]
        for damaged in ("[", '{"seen": 3, "run": [], "left": "yes"}', "[]"):
            file.write_text(damaged)
            assert not now()["active"]  # there are runs here
        for wrong in ({"step": "dance"}, {"step": "train", "run": "../elsewhere"}, {"step": "train", "run": 3}, {}):
            assert client.post("/api/welcome", json=wrong).status_code == 400
        file.unlink()
        shutil.rmtree(tmp_path / "runs")
        (tmp_path / "data" / "mine").mkdir(parents=True)
        (tmp_path / "data" / "mine" / "a.png").write_bytes(b"")
        assert not now()["active"]  # pictures of one's own are a beginning too

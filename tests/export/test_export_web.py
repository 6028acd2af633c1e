"""The exported page in a real browser, from a file, offline: the model's own pictures, quickly."""

from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith import cli
from gansmith.files.pictures import to_arrays
from helpers.models import tiny_model

pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Export a model as a page and open it from its file, with every request watched."""
    contexts = []

    def go(model, **viewport):
        model.save(tmp_path / "model")
        page_file = tmp_path / "page.html"
        assert cli.main(["export", str(tmp_path / "model"), "--to", "web", "--out", str(page_file)]) == 0
        assert page_file.stat().st_size < 30e6
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900, **viewport})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: (
                page.problems.append(request.url) if not request.url.startswith(("file:", "blob:", "data:")) else None
            ),
        )
        page.goto(page_file.as_uri())
        wait(page, "!!window.gansmith")
        assert page.evaluate("window.gansmith.error") is None
        assert not page.problems
        return page

    yield go
    for context in contexts:
        context.close()


def wait(page, expression: str, seconds: float = 60) -> None:
    """Until an expression is true; the page's own policy forbids the driver's way of waiting, which evaluates text."""
    for _ in range(int(seconds * 20)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression}: {page.inner_text('#status')}")


def differs(one: np.ndarray, two: np.ndarray) -> int:
    assert one.shape == two.shape
    return int(np.abs(one.astype(int) - two.astype(int)).max())


def wall_of(page, channels: int) -> np.ndarray:
    """The wall's canvases as uint8 [N, H, W, C]."""
    texts = page.evaluate("[...document.querySelectorAll('#wall canvas')].map((c) => c.toDataURL('image/png'))")
    return np.stack([canvas_of(text, channels) for text in texts])


def canvas_of(text: str, channels: int) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(text.split(",", 1)[1])))
    return np.array(image)[..., :channels]


def drawn(page, latents: torch.Tensor, labels: list[int], truncation: float, channels: int) -> np.ndarray:
    """What the page makes of latents, uint8 [N, H, W, C]."""
    made = page.evaluate(
        "async ([z, labels, t]) => (await window.gansmith.draw(z, labels, t)).images.map((i) => [i.height, i.width, [...i.data]])",
        [latents.tolist(), labels, truncation],
    )
    return np.stack(
        [np.array(data, np.uint8).reshape(height, width, 4)[..., :channels] for height, width, data in made]
    )


@pytest.mark.parametrize(
    ("family", "size", "channels", "classes"),
    [("gan", 28, 1, 10), ("stylegan2", 32, 3, 0), ("r3gan", 32, 3, 0), ("stylegan3", 32, 3, 0)],
)
def test_pictures_equal_the_models(opened, family, size, channels, classes):
    model = tiny_model(family, classes=classes, size=size, channels=channels)
    page = opened(model)
    shown = wall_of(page, channels)
    assert differs(shown, model.sample(16, seed=0)) <= 2  # seed 0 on the page is seed 0 here
    latents, labels = model.latents(5, 77), model.labels(5)
    numbers = [0] * 5 if labels is None else labels.tolist()
    expected = to_arrays(model.decode(latents, labels, 0.6))
    assert differs(drawn(page, latents, numbers, 0.6, channels), expected) <= 2
    assert expected.std() > 5  # a picture, not a plain area
    assert not page.problems


def test_a_28_px_page_is_small_and_quick(opened):
    model = tiny_model("gan", classes=10, size=28, channels=1, width=256, latent_dim=100)
    page = opened(model)
    assert "16 pictures in" in page.inner_text("#status")
    times = []
    for seed in range(3):
        page.fill("#seed", str(seed + 1))
        page.dispatch_event("#seed", "change")
        page.wait_for_timeout(300)
        times.append(float(page.get_attribute("#status", "data-ms")))
    assert min(times) < 1000


def test_the_wall_answers(opened):
    page = opened(tiny_model("gan", classes=3, size=28, channels=1), width=390, height=800)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#label option").all_inner_texts() == ["every one", "0", "1", "2"]
    first = wall_of(page, 1)
    page.click("#more")
    wait(page, "document.getElementById('seed').value === '1'")
    page.wait_for_timeout(500)
    second = wall_of(page, 1)
    assert differs(first, second) > 2
    page.locator("#wall canvas").nth(3).click()
    page.wait_for_selector("#wall canvas:nth-child(4).on")
    large = "document.getElementById('large').toDataURL('image/png')"
    page.wait_for_timeout(300)
    assert differs(canvas_of(page.evaluate(large), 1), second[3]) == 0
    page.locator("#knobs input").first.fill("5")
    page.wait_for_timeout(500)
    assert differs(canvas_of(page.evaluate(large), 1), second[3]) > 0
    page.click("#reset")
    page.click("#walk")
    wait(page, "document.getElementById('status').textContent.includes('while walking')")
    page.click("#walk")
    with page.expect_download() as download:
        page.click("#save")
    assert Image.open(download.value.path()).size == (28, 28)
    assert not page.problems


def test_the_wall_answers_to_keys_and_while_walking(opened):
    page = opened(tiny_model("gan", classes=3, size=28, channels=1))
    page.locator("#wall canvas").nth(5).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#wall canvas:nth-child(6)[aria-pressed=true]")
    page.click("#walk")
    wait(page, "document.getElementById('status').textContent.includes('while walking')")
    first = wall_of(page, 1)
    page.click("#more")  # not only once the walk has ended
    wait(page, "document.getElementById('status').textContent.includes('16 pictures in')")
    assert differs(first, wall_of(page, 1)) > 2
    page.locator("#wall canvas").nth(2).click()
    page.wait_for_selector("#wall canvas:nth-child(3)[aria-pressed=true]")
    assert page.inner_text("#walk") == "Stop"
    page.click("#walk")
    assert page.inner_text("#walk") == "Walk"
    assert not page.problems


def test_what_is_transparent_lies_on_white(opened, tmp_path):
    """As in Python; and a picture dropped while another is at work is not answered with that one's translation."""
    model = tiny_model("pix2pix")
    page = opened(model)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    pixels[..., 3] = np.where(np.arange(64) < 32, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    page.evaluate(
        "async () => { const draw = (c) => { const a = document.createElement('canvas'); a.width = a.height = 64;"
        " a.getContext('2d').fillStyle = c; a.getContext('2d').fillRect(0, 0, 64, 64); return new Promise((r) => a.toBlob(r)); };"
        " const give = (blob) => { const data = new DataTransfer(); data.items.add(new File([blob], 'x.png'));"
        " document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true })); };"
        " const [a, b] = [await draw('red'), await draw('blue')]; give(a); await new Promise((r) => setTimeout(r, 10)); give(b); }"
    )
    canvas = "document.getElementById('{}').toDataURL('image/png')"
    wait(page, "document.getElementById('status').textContent.includes('1 picture in')")
    before = canvas_of(page.evaluate(canvas.format("before")), 3)
    assert (before == [0, 0, 255]).all()
    given = torch.from_numpy(before.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    after = canvas_of(page.evaluate(canvas.format("after")), 3)
    assert differs(after, to_arrays(model.game.translate(given))[0]) <= 2
    page.set_input_files("#file", tmp_path / "clear.png")
    wait(
        page,
        f"{canvas.format('before')} !== '' && document.getElementById('status').textContent.includes('1 picture in')",
    )
    page.wait_for_timeout(500)
    before = canvas_of(page.evaluate(canvas.format("before")), 3)
    assert (before[:, :32] == 255).all()
    assert np.array_equal(before[:, 32:], pixels[:, 32:, :3])
    assert not page.problems


def test_a_translator_takes_a_dropped_picture(opened, tmp_path):
    model = tiny_model("pix2pix")
    page = opened(model)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    page.set_input_files("#file", tmp_path / "in.png")
    wait(page, "document.getElementById('status').textContent.includes('1 picture in')")
    shown = canvas_of(page.evaluate("document.getElementById('after').toDataURL('image/png')"), 3)
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    expected = to_arrays(model.game.translate(given))[0]
    assert differs(shown, expected) <= 2
    assert expected.std() > 1
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 5)
    page.mouse.up()
    assert float(page.eval_on_selector("#divider", "(e) => parseFloat(e.style.left)")) == pytest.approx(90, abs=2)
    (tmp_path / "no.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "no.png")
    wait(page, "document.getElementById('status').textContent.includes('cannot be shown')")
    assert not page.problems


def test_a_hole_painted_with_the_brush_is_filled(opened, tmp_path):
    model = tiny_model("inpaint")
    page = opened(model)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    page.set_input_files("#file", tmp_path / "in.png")
    wait(page, "document.getElementById('before').width === 64")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    painted = canvas_of(page.evaluate("document.getElementById('paint').toDataURL('image/png')"), 4)[..., 3] > 127
    assert 20 < painted.sum() < 1500
    page.click("#go")
    wait(page, "document.getElementById('status').textContent.includes('1 picture in')")
    shown = canvas_of(page.evaluate("document.getElementById('after').toDataURL('image/png')"), 3)
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    expected = to_arrays(model.game.translate(given, mask=torch.from_numpy(painted)[None, None].float()))[0]
    assert differs(shown, expected) <= 2
    assert "Move the slider" in page.inner_text("#status")
    page.locator("#compare").fill("100")  # before and after can be compared here too, and with keys
    assert page.eval_on_selector("#after", "(e) => e.style.clipPath").endswith("100%)")
    assert np.array_equal(shown[~painted], pixels[~painted])
    assert differs(shown[painted], pixels[painted]) > 20
    assert not page.problems


def test_what_a_model_says_of_itself_cannot_break_the_page(opened):
    model = tiny_model("gan", size=28, channels=1)
    model.info["data"] = {"name": "</script><b>@MODEL@</b>"}
    page = opened(model)
    assert page.inner_text("h1") == "gan on </script><b>@MODEL@</b>"
    assert json.loads(page.inner_text("#facts") or page.text_content("#facts"))["data"] == "</script><b>@MODEL@</b>"

"""Every word of the studio is in each language's file, and the package's own words are found again with their values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the studio's extra is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

from gansmith import registry
from gansmith.config import TrainSettings
from gansmith.studio import forms, words
from gansmith.studio.app import create_app
from helpers import studio_words
from helpers.studio import BASE, SAFE

STATIC = Path(words.__file__).parent / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
OTHERS = [code for code in words.LANGUAGES if code != "en"]
HOLE = re.compile(r"\{(\w+)\}")
CHINESE = re.compile("[\u4e00-\u9fff]")


def holes(text: str | dict) -> set[str]:
    return set(HOLE.findall(" ".join(text.values()) if isinstance(text, dict) else text))


def source() -> str:
    return "\n".join(
        file.read_text("utf-8") for file in [*SCRIPTS, STATIC / "login.html", STATIC.parent / "lesson_page.py"]
    )


def of_the_page(code: str) -> dict:
    """Without what settings and their choices are called: English calls most of them by their names."""
    return {key: text for key, text in words.page(code).items() if key.partition(".")[0] not in words.LABELS}


@pytest.mark.parametrize("code", OTHERS)
def test_every_setting_has_a_name_of_its_own(code):
    """Two settings of one form must not be called alike, nor may a name outlive its setting."""
    labels = words.read(code)["setting"]
    run = [row["name"] for row in forms.fields(TrainSettings)]
    known = set(run)
    for name in registry.families():
        own = [row["name"] for row in forms.fields(registry.family(name).Config)]
        known |= set(own)
        called = [labels.get(setting, "") for setting in [*run, *own]]
        assert all(called), [setting for setting in [*run, *own] if setting not in labels]
        assert sorted({text for text in called if called.count(text) > 1}) == [], name
    assert set(labels) - known == set()


def test_flags_are_said_as_the_fields_of_the_page():
    def said(text: str, code: str) -> str:
        return words.without_flags(text, code)

    assert (
        said("Give a size, for instance --size 64: it cuts.", "en") == "Give a size, for instance “Size” 64: it cuts."
    )
    assert said("--lr-discriminator 2.5e-3 helps.", "en") == "“Lr discriminator” 2.5e-3 helps."
    assert said("Choose another with --out.", "en") == "Choose another with “Name”."
    assert said("--no-conditional leaves them out", "zh") == "“按类别生成：否” leaves them out"
    assert said("试试 --augment ada。", "zh") == "试试“数据增强” ada。"
    for kept in (
        "gansmith evaluate RUN --metrics prdc,swd measures it.",
        "pip install --force-reinstall torch",
        "gansmith train r3gan --data data/my.set --lr 0.001 --pack 2 --no-conditional",
        "weights of it, to train it further (train upscale --init)",
        "--of-a-plugin 3",
        "a -- b",
    ):
        assert said(kept, "en") == kept
    words.speak("en")
    assert words.said("The set needs --conditional.") == "The set needs “Conditional”."


@pytest.mark.parametrize("code", OTHERS)
def test_no_word_of_the_page_is_missing(code):
    english, other = of_the_page("en"), of_the_page(code)
    assert set(english) - set(other) == set()
    assert set(other) - set(english) == set()
    assert [key for key in english if holes(english[key]) != holes(other[key])] == []
    assert [key for key, text in other.items() if not (text.get("other") if isinstance(text, dict) else text)] == []


def test_every_word_that_the_page_asks_for_is_there_and_is_asked_for():
    text = source()
    asked = set(re.findall(r'\bt(?:Or)?\(\s*"([\w.-]+)"', text)) | set(re.findall(r'data-t="([\w.]+)"', text))
    known = set(of_the_page("en"))
    assert asked - known == set()
    chosen = set(re.findall(r'"([a-z]+\.[\w.-]+)"', text))  # t(live ? "watch.stop" : "watch.remove")
    patterns = [re.escape(made) for made in re.findall(r"\bt(?:Or)?\(`([^`]*)`", text)]
    patterns = [re.compile(re.sub(r"\\\$\\\{.*?\\\}", ".+", made)) for made in patterns]
    assert [made.pattern for made in patterns if not any(made.fullmatch(key) for key in words.page("zh"))] == []
    unused = known - asked - chosen
    assert {key for key in unused if not any(made.fullmatch(key) for made in patterns)} == set()


def test_no_words_stand_in_the_scripts():
    """Text that a person reads has two words or more, or begins with a capital letter within an element."""
    found = []
    for file in SCRIPTS:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            code = re.sub(r'(?<!:)//.*$|class: "[^"]*"', "", line)
            if line.lstrip().startswith(("*", "/*", "//", "*/")):
                continue
            for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', code):
                spoken = re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", literal) or re.fullmatch(
                    r"[A-Z][a-z]+( [a-z]+)+[.!?]?", literal
                )
                if spoken and not re.search(
                    r"[#\[{:]|^(button|row|card|chip|stack|small|field|class|input|drop|bar)\b", literal
                ):
                    found.append(f"{file.name}:{number}: {literal}")
    allowed = {"The words of ${LANGUAGES[asked]} could not be loaded (${answer.status})."}
    assert [line for line in found if not any(text in line for text in allowed)] == []


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_that_the_package_says_is_missing(code):
    """Settings' help, families, the coach, reports, errors. ``python tests/helpers/studio_words.py`` lists what to translate."""
    assert studio_words.missing(code) == []


@pytest.mark.parametrize("code", OTHERS)
def test_values_are_found_in_what_is_said(code):
    said = words.read(code)["said"]
    assert [text for text, other in said.items() if holes(text) != holes(other)] == []
    assert [text for text, other in said.items() if not other] == []
    wrong = []
    for template in said:
        numbers = sorted(holes(template), key=int)
        if not numbers:
            continue
        values = [f"v{n}-{7 * int(n) + 1}" for n in numbers]
        text = HOLE.sub(lambda hole, values=values: values[int(hole[1])], template)
        made = words.translated(text, code)
        if not all(value in made for value in values) or (len(template) > 24 and not CHINESE.search(made)):
            wrong.append((text, made))
    assert wrong == []


def test_values_that_are_sentences_themselves_are_translated_too():
    text = "Ready to train on: 1,234 pictures (5 broken left out), 64x64, grey, 10 classes."
    assert words.translated(text, "zh") == "可以训练：1,234 张图片（5 张损坏的已排除），64x64，灰度，10 个类别。"
    line = "- **mode collapse: many samples are copies of each other** (from 12,000 images on). Something new."
    assert words.translated(line, "zh").startswith("- **模式崩溃：许多样本互为复制品**（自 12,000 张图片起）。")
    assert words.translated("Nobody has translated this.", "zh") == "Nobody has translated this."
    assert (
        words.translated("That file is gone. Nobody has translated this.", "zh")
        == "那个文件已不在了。 Nobody has translated this."
    )
    assert words.translated("anything", "en") == "anything"


def test_the_language_is_the_one_that_the_request_asks_for(tmp_path):
    with TestClient(create_app(tmp_path, warm_up=False), base_url=BASE, headers=SAFE) as client:

        def refused(accept: str) -> str:
            return client.get("/api/run", params={"id": "runs/none"}, headers={"Accept-Language": accept}).json()[
                "error"
            ]

        english = refused("en")
        assert not CHINESE.search(english)
        for accept in ("zh", "zh-CN,zh;q=0.9,en;q=0.8", "ZH-hans", "xx, zh"):
            assert CHINESE.search(refused(accept)), accept
        for accept in ("fr", "", "en-US,zh;q=0.5", ";;;,,,", "?" * 5000):
            assert refused(accept) == english, accept
        told = client.get("/api/family", params={"name": "dcgan"}, headers={"Accept-Language": "zh"}).json()
        assert CHINESE.search(told["about"])
        assert all(CHINESE.search(field["help"]) or "->" in field["help"] for field in [*told["run"], *told["family"]])
        sets = client.get("/api/data", headers={"Accept-Language": "zh"}).json()["standard"]
        assert all(CHINESE.search(row["about"]) for row in sets)

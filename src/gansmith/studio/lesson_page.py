"""The lesson of the Understand page as one HTML page for a class: scripts, styles and words inside, nothing fetched.

The studio's own modules are put into one script, each in a scope of its own. ``toy.js``, which asks the server, is replaced by
``teach/toy.js``, which plays the same game in the browser; its settings and worlds are those of :mod:`gansmith.studio.playground`.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from gansmith.studio import words
from gansmith.version import __version__

STATIC = Path(__file__).parent / "static"
GROUPS = ("understand", "lesson", "teach", "frame", "ask")
"""Words that the page needs."""
INSTEAD = {"toy.js": "teach/toy.js"}
LANGUAGE = {"zh": "zh-Hans"}
CELLS = 32
"""Places a side of the landscape: a browser computes more slowly than the server, which has ``playground.CELLS``."""
_IMPORT = re.compile(r'^import \{ (?P<names>[^}]+) \} from "(?P<file>[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?P<rest>(?:async )?(?:function|class|const) (?P<name>\w+))", re.MULTILINE)


def bundled(entry: str) -> str:
    """A module of ``static/js`` and those it imports as one script, each after what it needs."""
    order: list[str] = []
    scripts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in scripts:
            return
        scripts[name] = ""
        source = (STATIC / "js" / name).read_text("utf-8")
        for found in _IMPORT.finditer(source):
            add(_resolved(name, found["file"]))
        scripts[name] = _scoped(name, source)
        order.append(name)

    add(entry)
    return "\n".join(scripts[name] for name in order)


def _resolved(name: str, file: str) -> str:
    """A module's name, as another one imports it."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), file))
    return INSTEAD.get(target, target)


def _variable(name: str) -> str:
    return "m_" + re.sub(r"\W", "_", name)


def _scoped(name: str, source: str) -> str:
    """A module as a constant that holds what it exports."""
    exported = [found["name"] for found in _EXPORT.finditer(source)]

    def imported(found: re.Match[str]) -> str:
        return f"const {{ {found['names'].replace(' as ', ': ')} }} = {_variable(_resolved(name, found['file']))};"

    body = _EXPORT.sub(lambda found: found["rest"], _IMPORT.sub(imported, source))
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"


def facts() -> dict[str, Any]:
    """What the game in the browser needs to know: sizes, the families' settings, and where the worlds' points are."""
    from gansmith import registry
    from gansmith.studio import playground

    families = {}
    for name, settings in playground.SETTINGS.items():
        config = registry.family(name).Config(**settings)
        wanted = ("lr", "beta1", "beta2", "penalty", "critic_steps", "gamma", "penalty_every")
        families[name] = {key: getattr(config, key) for key in wanted if getattr(config, key, None) is not None}
    worlds = {}
    for kind in ("ring", "grid", "spiral"):
        world = playground.World(kind)
        base = [[round(value, 5) for value in row] for row in world.base.tolist()]
        worlds[kind] = {"base": base, "sigma": world.sigma, "counted": world.modes is not None}
    sizes = {
        "extent": playground.EXTENT,
        "unit": playground.UNIT,
        "cells": CELLS,
        "shown": playground.SHOWN,
        "arrows": playground.ARROWS,
        "batch": playground.BATCH,
        "width": playground.WIDTH,
        "latent": playground.LATENT,
        "near": playground.NEAR,
        "sigma": worlds["ring"]["sigma"],
    }
    return sizes | {"families": families, "worlds": worlds}


def made(language: str, asked: str, points: list[list[float]] | None) -> str:
    """The whole page.

    Args:
        language: one of :data:`gansmith.studio.words.LANGUAGES`.
        asked: chapter, world, families and so on, as the Understand page has them in its address.
        points: drawn points [N][2], or None.
    """
    known = {key: text for key, text in words.page(language).items() if key.partition(".")[0] in GROUPS}
    lesson = {"language": language, "words": known, "asked": asked, "points": points}
    styles = "\n".join((STATIC / "css" / f"{name}.css").read_text("utf-8") for name in ("base", "parts", "pages"))
    return _PAGE.format(
        lang=LANGUAGE.get(language, language),
        title=html.escape(known["teach.title"]),
        noscript=html.escape(known["teach.noscript"]),
        foot=html.escape(known["teach.foot"].format(version=__version__)),
        css=styles,
        facts=_embedded(facts()),
        lesson=_embedded(lesson),
        script=bundled("teach/main.js").replace("</script", "<\\/script"),
    )


def _embedded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{css}
</style>
</head>
<body class="taught">
<main id="page"></main>
<header class="tools"></header>
<footer class="small muted">{foot}</footer>
<div class="toasts" role="status" aria-live="polite"></div>
<noscript><p class="noscript">{noscript}</p></noscript>
<script type="application/json" id="facts">{facts}</script>
<script type="application/json" id="lesson">{lesson}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""

"""The README.md beside a model: a Hugging Face model card."""

from __future__ import annotations

from typing import Any

from gansmith.abilities import Sampled
from gansmith.game import Game

_CARD = """---
library_name: gansmith
license: {licence}
pipeline_tag: {task}
tags: [gan, {family}, pytorch]
---

# {title}

{summary}

- pictures: {width}x{height}, {channels} channel(s){classes}
- trained on: {data}
- real pictures seen: {images}
- parameters: {parameters:,}
- written by gansmith {version}
{metrics}
## Use

```bash
pip install .    # in the folder with gansmith's sources: it is on no package index yet
{command}
```

```python
import gansmith

model = gansmith.load("PATH_OR_HUB_ID")
{python}
```

{terms}{limits}"""

_LIMITS = """## Limits

The model has learned from the pictures named above and repeats their biases and gaps. Check what licence those
pictures are under before you publish the model or what it makes.
"""

_TERMS = """## Licence

{title}: {allows}. The weights are those of {source} (checksums: {checksums}).{warning}

"""


def _terms(catalogue: dict[str, Any]) -> str:
    """What a model of the catalogue may be used for."""
    sums = ", ".join(f"{url} {digest}" for url, digest in (catalogue.get("sha256") or {}).items())
    return _TERMS.format(
        title=catalogue.get("licence_title", "unknown"),
        allows=catalogue.get("allows", "ask its authors"),
        source=catalogue.get("source", "unknown"),
        checksums=sums or "none, a package brought the file",
        warning="" if catalogue.get("commercial") else " **Commercial use is not allowed.**",
    )


def model_card(document: dict[str, Any], game: Game) -> str:
    """The card's text for a model's config.json."""
    generates = isinstance(game, Sampled)
    spec, data = document["spec"], document.get("data") or {}
    metrics = document.get("metrics") or {}
    found = document.get("catalogue")
    catalogue: dict[str, Any] = found if isinstance(found, dict) else {}
    title = catalogue["name"] if "name" in catalogue else f"{document['family']} on {data.get('name', 'pictures')}"
    weights = sum(p.numel() for p in game.parameters())
    doc = (type(game).__module__ and __import__("sys").modules[type(game).__module__].__doc__) or ""
    table = "".join(f"| {name} | {value:.4g} |\n" for name, value in metrics.items() if isinstance(value, (int, float)))
    return _CARD.format(
        licence=str(catalogue.get("licence", "other")).lower(),
        terms=_terms(catalogue) if catalogue and weights else "",
        limits=_LIMITS if weights else "",
        task="unconditional-image-generation" if generates else "image-to-image",
        family=document["family"],
        title=title,
        summary=doc.split("\n", 1)[0],
        width=spec["width"],
        height=spec["height"],
        channels=spec["channels"],
        classes=f", {spec['classes']} classes" if isinstance(game, Sampled) and game.classes else "",
        data=f"{data.get('name', 'unknown')} ({data.get('pictures', '?')} pictures, hash {str(data.get('hash', '?'))[:16]})",
        images=f"{document.get('images', 0):,}",
        parameters=weights,
        version=document["gansmith"],
        metrics=f"\n| metric | value |\n| --- | --- |\n{table}" if table else "",
        command="gansmith sample PATH_OR_HUB_ID --n 64 --out grid.png"
        if generates
        else "gansmith apply PATH_OR_HUB_ID picture.jpg --out fixed/",
        python="pictures = model.sample(16, seed=0)  # uint8 [N, H, W, C]"
        if generates
        else "changed = model.game.translate(pictures)  # [N, C, H, W] in [-1, 1]",
    )

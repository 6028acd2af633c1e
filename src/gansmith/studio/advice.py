"""What to train with, from a look at the pictures: size, classes, augmentation, family; and what would stop a run before it begins."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from gansmith import registry
from gansmith.config import TrainSettings
from gansmith.errors import DataError, GansmithError
from gansmith.game import ImageSpec
from gansmith.studio import forms
from gansmith.studio.cures import cures
from gansmith.studio.errors import Refused

LOOKED_AT = 1500
"""Headers read of a large set; sizes that differ show among so many."""
FEW = 2000
"""Below so many pictures a discriminator knows them by heart soon, unless they are augmented."""
OWN_SIZE = 96
"""Pictures of one size up to this are trained on as they are; larger ones would take days on most machines."""

_known: dict[tuple[str, float], dict[str, Any]] = {}


def look(spec: str) -> dict[str, Any]:
    """A quick look at a set: pictures, distinct sizes, smallest side, colour, classes. Downloads nothing.

    Raises:
        DataError: there is nothing that can be trained on.
    """
    from gansmith.data import standard
    from gansmith.data.decode import Header
    from gansmith.data.specs import open_source
    from gansmith.data.threads import in_parallel

    name = spec.removeprefix(standard.STANDARD).partition(":")[0].partition("[")[0]
    if name.startswith("hf") or (name in standard.NAMES and not standard.is_ready(name)):
        return {}
    key = spec, stamp(spec)
    if key in _known:
        return _known[key]
    source = open_source(spec)
    chosen = np.random.default_rng(0).permutation(len(source))[:LOOKED_AT]
    headers = [h for h in in_parallel(lambda i: source.header(int(chosen[i])), len(chosen)) if isinstance(h, Header)]
    if not headers:
        raise DataError(f"None of the pictures in '{source.name}' can be read. The Data page shows why.")
    sizes = Counter((h.width, h.height) for h in headers)
    found = {
        "pictures": len(source),
        "sizes": len(sizes),
        "most_common": list(sizes.most_common(1)[0][0]),
        "smallest": min(min(size) for size in sizes),
        "colour": any(h.colour for h in headers),
        "classes": len(source.class_names) if source.labels is not None else 0,
        "class_names": list(source.class_names[:1000]) if source.labels is not None else [],
    }
    while len(_known) > 50:
        _known.pop(next(iter(_known)))
    _known[key] = found
    return found


def check_sides(data: str, specs: list[str]) -> None:
    """Refuse one set for a family that carries pictures from one side to the other, unless it holds both.

    Raises:
        Refused: it does not.
    """
    from gansmith.data import standard
    from gansmith.data.sides import find_sides
    from gansmith.data.specs import open_source

    if data != "unpaired" or len(specs) != 1 or specs[0].startswith("hf"):
        return
    known = specs[0].removeprefix(standard.STANDARD).partition(":")[0].partition("[")[0] in standard.NAMES
    if known or find_sides(open_source(specs[0])) is None:
        raise Refused("This family trains on two sets: choose side B too, or one folder that holds trainA and trainB.")


def stamp(spec: str) -> float:
    """When a set changed last: its folder or file, and the folders right below."""
    path = Path(spec.partition("[")[0])
    try:
        below = [e.stat().st_mtime for e in os.scandir(path) if e.is_dir()] if path.is_dir() else []
        return max([path.stat().st_mtime, *below])
    except OSError:
        return 0.0


def family_for(facts: dict[str, Any]) -> str:
    """Which family to begin with, as ``gansmith train`` takes it where none is named."""
    from gansmith.training.choosing import for_pictures

    return for_pictures(facts.get("pictures", FEW), facts.get("colour", False))[0]


def settings_for(
    family: str, facts: dict[str, Any], other: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """Settings that suit a set, and why: ``[reason, values]`` of which the page has the words.

    Args:
        family: a built-in family.
        facts: what :func:`look` found; empty for a set that is not here yet.
        other: of side B, for families with two.
    """
    from gansmith.generation import Generation

    chosen: dict[str, Any] = {}
    why: list[Any] = []
    if not facts:
        return chosen, why
    kind = registry.family(family)
    usual = {field["name"]: field["default"] for field in forms.fields(kind.Config)}
    size = _size_for(kind.data, facts, other)
    if size:
        chosen["size"] = size
        reason = "sizes" if facts["sizes"] > 1 else "small" if kind.data == "crops" else "large"
        why.append([reason, {"n": facts["sizes"], "size": size, "smallest": facts["smallest"]}])
    per_class = facts["pictures"] / max(1, facts["classes"])
    width, height = (size, size) if size else facts["most_common"]
    spec = ImageSpec(height, width, 3 if facts["colour"] else 1, facts["classes"])
    if issubclass(kind, Generation) and spec.classes >= 2 and per_class >= kind.fewest_per_class(kind.Config(), spec):
        why.append(["classes", {"n": facts["classes"]}])
    if usual.get("augment") == "none" and facts["pictures"] < FEW:
        chosen["augment"] = "ada"
        why.append(["few", {"n": facts["pictures"]}])
    return chosen, why


def _size_for(data: str, facts: dict[str, Any], other: dict[str, Any] | None) -> int:
    """0 where the pictures can be taken as they are."""
    smallest = min(facts["smallest"], other["smallest"] if other else facts["smallest"])
    if data == "crops":  # windows are cut from pictures of any size, as long as they fit
        return 0 if smallest >= 64 else max(16, smallest // 16 * 16)
    sizes = {tuple(facts["most_common"]), *([tuple(other["most_common"])] if other else [])}
    alike = facts["sizes"] == 1 and (other is None or other["sizes"] == 1) and len(sizes) == 1
    width, height = facts["most_common"]
    if data == "paired" and other is None and alike and width > 1.5 * height:
        width //= 2  # both sides in one picture
    if alike and max(width, height) <= OWN_SIZE:
        return 0
    if data in ("paired", "unpaired"):
        return 128 if smallest >= 128 else 64
    return 64 if smallest >= 40 else 32


def problem_of(
    family: str, facts: dict[str, Any], given_run: dict[str, Any], given_family: dict[str, Any]
) -> dict[str, Any] | None:
    """Why a run with these settings would stop before its first step, with what can be done; None where nothing is seen."""
    import torch

    from gansmith import config

    if not facts:
        return None
    kind = registry.family(family)
    size = given_run.get("size") or 0
    if kind.data == "images" and not size and facts["sizes"] > 1:
        return _told(
            f"The pictures have {facts['sizes']} different sizes. Give a size to bring them to, for instance --size 64: it resizes "
            "and cuts out the middle.",
            family,
            given_run | given_family,
        )
    if kind.data != "images":
        return None
    width, height = (size, size) if size else facts["most_common"]
    names = tuple(facts["class_names"])
    try:
        made = config.make(kind.Config, given_family, family)
        config.make(TrainSettings, {"size": size}, "The run")
        with torch.device("meta"):
            kind(made, ImageSpec(height, width, 3 if facts["colour"] else 1, len(names), names))
    except GansmithError as error:
        return _told(str(error), family, given_run | given_family)
    except Exception:  # networks that cannot be built without memory: the run itself will say
        return None
    return None


def _told(text: str, family: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "cures": cures(text, family, settings)}

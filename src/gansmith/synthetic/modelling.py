"""The class-conditional model: trained on the train side of a split, or somebody's, checked against the data."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith import registry
from gansmith.data import Pictures
from gansmith.errors import GansmithError, ModelError
from gansmith.files.paths import named
from gansmith.models.bundle import Model, load
from gansmith.synthetic.settings import AugmentSettings
from gansmith.synthetic.split import Split


def beside(out: Path, ending: str) -> Path:
    """The folder beside ``out`` whose name ends like this; ``out`` may be '.' or '..', which are no names."""
    return named(out).with_name(named(out).name + ending)


def work_folder(out: Path) -> Path:
    """Where the model that is trained for ``out`` lies: beside it, as every folder inside ``out`` is a class."""
    return beside(out, "-work")


def family_config(family: str, given: dict[str, Any]) -> Any:
    """A family's settings for augmentation: conditional, with classes that fade in, and what its discriminator sees augmented.

    Raises:
        GansmithError: the family has no conditional form, or a setting is unknown.
    """
    from gansmith import config

    kind = registry.named(family)
    known = getattr(kind.Config, "__dataclass_fields__", {})
    if "conditional" not in known:
        able = [n for n in registry.families() if "conditional" in registry.family(n).Config.__dataclass_fields__]
        raise GansmithError(f"'{family}' cannot make pictures of a given class. Families that can: {', '.join(able)}.")
    usual = {"conditional": True, "augment": "diffaugment", "class_fade": 0.6}
    usual = {setting: value for setting, value in usual.items() if setting in known}
    made = config.make(kind.Config, {**usual, **given}, family)
    return dataclasses.replace(made, conditional=True) if made.conditional == "auto" else made


def train_model(
    x: Tensor,
    y: Tensor,
    names: tuple[str, ...],
    out: Path,
    split: Split,
    settings: AugmentSettings,
    family: str,
    config: Any,
    quiet: bool,
) -> Model:
    """Train a conditional model on the train side, every class shown equally often, in ``work_folder(out)``."""
    from gansmith.config import TrainSettings
    from gansmith.training import session

    work = work_folder(out)
    split.save(work)
    rows = repeated(y)
    arrays: dict[str, Any] = {
        "x": x[rows].permute(0, 2, 3, 1).numpy(),
        "y": y[rows].numpy(),
        "class_names": np.array(names),
    }
    np.savez_compressed(work / "train.npz", **arrays)
    minutes = None if settings.images or settings.steps else settings.minutes
    run = TrainSettings(
        data=(str(work / "train.npz"),), out=work / "run", minutes=minutes, images=settings.images, steps=settings.steps,
        batch=settings.batch, seed=settings.seed, flip=settings.flip, device=settings.device,
    )  # fmt: skip
    try:
        finished = session.train(family, settings=run, family_config=config, quiet=quiet)
    except GansmithError:
        if not (work / "run").exists():  # refused before it began: leave nothing behind
            shutil.rmtree(work)
        raise
    if finished.interrupted:
        raise GansmithError(
            f"The training was stopped and saved. Go on with: gansmith train --resume --out {work / 'run'} and then draw "
            f"from it with: gansmith augment --model {work / 'run'} and the same --data and --out."
        )
    return load(work / "run")


def repeated(y: Tensor) -> np.ndarray:
    """Numbers of the pictures, those of small classes several times, so that every class is shown about equally often."""
    counts = torch.bincount(y)
    times = (counts.max() / counts.clamp(min=1)).round().long()[y]
    return torch.arange(len(y)).repeat_interleave(times).numpy()


def load_model(path: str, pictures: Pictures) -> Model:
    """A conditional model that makes pictures like these.

    Raises:
        ModelError: it is not conditional, or its classes, size or channels differ from the data's.
    """
    model, spec = load(path), pictures.spec
    if not model.classes:
        raise ModelError(
            f"The model '{path}' cannot make pictures of a given class. Train one with --conditional, or leave --model out."
        )
    theirs = model.spec.class_names or tuple(str(i) for i in range(model.classes))
    if set(theirs) != set(spec.class_names):
        shown = [", ".join(names[:8]) + ("..." if len(names) > 8 else "") for names in (theirs, spec.class_names)]
        raise ModelError(
            f"The model's classes differ from those of '{pictures.name}': it has {len(theirs)} ({shown[0]}) and the data "
            f"{len(spec.class_names)} ({shown[1]}). Take a model that was trained on these classes, or leave --model out."
        )
    if model.spec.shape != spec.shape:
        raise ModelError(
            f"The model makes pictures of {_shape(model.spec.shape)}, and those of '{pictures.name}' have {_shape(spec.shape)}. "
            f"Give --size {model.spec.height} if only the size differs, or leave --model out."
        )
    return model


def model_name(model: Model) -> str:
    """Family and hash of the weights, such as ``r3gan-0123456789ab``."""
    digest = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted(model.game.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{model.family}-{digest.hexdigest()}"


def _shape(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"

"""Models as files: a folder with ``model.safetensors``, ``config.json`` and a model card, to load, share and export."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gansmith import config as configs
from gansmith import registry
from gansmith.errors import GansmithError, ModelError, first_line
from gansmith.files.atomic import clear_leftovers, sync_folder
from gansmith.files.pictures import to_arrays
from gansmith.files.run import spec_to_plain
from gansmith.game import Game, ImageSpec
from gansmith.models.bounds import check_settings, load_tensors, within
from gansmith.models.card import model_card
from gansmith.models.locate import FORMAT, described, locate, read_document
from gansmith.version import __version__

OPPONENT = "discriminator.safetensors"
"""Beside ``model.safetensors``: the discriminator and what goes with it. ``train --init`` wants it, nothing else does."""


@dataclass
class Model:
    """A trained model.

    Attributes:
        family: command-line name of its family.
        game: the networks that make pictures (weights averaged, eval mode); it cannot be trained further as it is.
        info: data name and hash, images seen, metrics, the gansmith version that wrote it.
    """

    family: str
    game: Game
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> ImageSpec:
        return self.game.spec

    @property
    def config(self) -> Any:
        return self.game.config

    @property
    def classes(self) -> int:
        """How many classes ``label`` chooses from; 0 for unconditional models."""
        return getattr(self.game, "classes", 0)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | str | Sequence[int] | None = None,
        truncation: float = 1.0,
        batch: int = 64,
    ) -> np.ndarray:
        """New pictures.

        Args:
            n: how many.
            seed: the same seed gives the same pictures; the first k are the same for every n >= k.
            label: a class number or name for all, or one number each; None takes every class in turn.
            truncation: below 1, closer to the average picture: less variety, better quality.
            batch: pictures computed at once.

        Returns:
            uint8 [N, H, W, C].

        Raises:
            GansmithError: the model does not make pictures from noise, or has no such class.
        """
        latents = self.latents(n, seed)
        labels = self.labels(n, label)
        return to_arrays(self.decode(latents, labels, truncation, batch))

    def latents(self, n: int, seed: int = 0) -> Tensor:
        """The latents that ``sample(n, seed)`` uses, [n, latent_dim]."""
        if n < 0:
            raise GansmithError(f"{n} pictures cannot be made: n is 0 or more.")
        if not -(2**63) <= seed < 2**63:
            raise GansmithError(f"A seed is a whole number of at most 63 bits, not {seed}.")
        return self._generation().seeded_latents(n, seed)

    def decode(self, latents: Tensor, labels: Tensor | None = None, truncation: float = 1.0, batch: int = 64) -> Tensor:
        """Latents [N, latent_dim] (and class numbers [N]) -> pictures [N, C, H, W] in [-1, 1]."""
        game = self._generation()
        if batch < 1:
            raise GansmithError(f"--batch is how many pictures are computed at once: 1 or more, not {batch}.")
        parts = []
        with torch.inference_mode():
            for start in range(0, len(latents), batch):
                chosen = None if labels is None else labels[start : start + batch].to(game.device)
                parts.append(
                    game.sample(latents[start : start + batch].to(game.device), chosen, truncation).float().cpu()
                )
        return torch.cat(parts) if parts else torch.empty(0, *self.spec.shape)

    def labels(self, n: int, label: int | str | Sequence[int] | None = None) -> Tensor | None:
        """Class numbers [n] for :meth:`sample`'s ``label``; None for unconditional models."""
        if not self.classes:
            if label is not None:
                raise GansmithError(
                    "This model has no classes: it was trained without --conditional. Leave the class out."
                )
            return None
        if label is None:
            return torch.arange(n) % self.classes
        names = list(self.spec.class_names)
        given: Any = label.tolist() if isinstance(label, (Tensor, np.ndarray, np.integer)) else label
        chosen = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given] * n
        numbers = [_class_number(one, names) for one in chosen]
        for number, one in zip(numbers, chosen, strict=True):
            if not 0 <= number < self.classes:
                known = ", ".join(names) if names else f"0 to {self.classes - 1}"
                raise GansmithError(f"This model has no class '{one}'. Its classes are: {known}.")
        if len(numbers) != n:
            raise GansmithError(f"{len(numbers)} labels were given for {n} pictures.")
        return torch.tensor(numbers, dtype=torch.int64)

    def to(self, device: torch.device | str) -> Model:
        """Move the networks to a device."""
        self.game.to(device)
        return self

    def save(self, folder: str | Path) -> Path:
        """Write the model folder; an older one in its place is replaced only once the new one is whole."""
        return save(Path(folder), self)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload to the Hugging Face Hub; returns the address of the commit."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "model")
            return str(api.upload_folder(repo_id=repo_id, folder_path=Path(folder) / "model"))

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Model:
        """The same as :func:`gansmith.load`."""
        return load(path)

    def _generation(self) -> Any:
        if not hasattr(self.game, "seeded_latents"):
            raise GansmithError(
                f"A {self.family} model changes pictures, it does not make them from noise. Use: gansmith apply."
            )
        return self.game


def _class_number(label: Any, names: Sequence[str]) -> int:
    """A class's number from its number or name; -1 for what is neither."""
    if isinstance(label, str):
        return names.index(label) if label in names else int(label) if label.isdecimal() else -1
    whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    return int(label) if whole else -1


def exported_tensors(game: Game) -> dict[str, Tensor]:
    """The weights and buffers of the networks a model is made of."""
    prefixes = tuple(f"{name}." for name in game.exports)
    return {name: tensor for name, tensor in game.state_dict().items() if name.startswith(prefixes)}


def averaged_copy(game: Game) -> Game:
    """A second game with copies of the exported networks only, in eval mode: what EMA averages into."""
    import copy

    networks = {name: copy.deepcopy(game.get_submodule(name)) for name in game.exports}
    twin = type(game)(game.config, game.spec, networks).to(game.device)
    return twin.eval().requires_grad_(False)


def save(folder: Path, model: Model, discriminator: Mapping[str, Tensor] | None = None) -> Path:
    """Write a model folder; with a discriminator's tensors, also :data:`OPPONENT`."""
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in exported_tensors(model.game).items()}
    document = {
        "format": FORMAT,
        "gansmith": __version__,
        "family": model.family,
        "settings": configs.to_plain(model.config),
        "spec": spec_to_plain(model.spec),
        **model.info,
    }
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        clear_leftovers(folder.parent, folder.name)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        safetensors.torch.save_file(tensors, temporary / "model.safetensors", {"format": "pt"})
        if discriminator:
            kept = {name: t.detach().cpu().contiguous().clone() for name, t in discriminator.items()}
            safetensors.torch.save_file(kept, temporary / OPPONENT, {"format": "pt"})
        (temporary / "config.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(model_card(document, model.game), encoding="utf-8")
        if folder.exists():
            folder.replace(old)
        temporary.replace(folder)
        sync_folder(folder.parent)
    except (OSError, safetensors.SafetensorError) as error:  # the second is how safetensors says that a disk is full
        if old.exists() and not folder.exists():
            old.replace(folder)
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"The model could not be written to {folder}: {reason}.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder


def load(path: str | Path, device: str = "cpu") -> Model:
    """Load a model from its folder, from a run folder, or from the Hugging Face Hub by its id (``user/name``).

    Raises:
        ModelError: nothing is there, a file is missing, or the weights do not fit the networks.
    """
    folder = locate(path)
    document = read_document(folder)
    family, config, spec = described(document, folder / "config.json")
    tensors = load_tensors(folder / "model.safetensors")
    info = {key: document[key] for key in document if key not in ("format", "family", "settings", "spec")}
    game = _built(family, config, spec, tensors, str(folder / "config.json"))
    return _assemble(document["family"], game, tensors, info, str(folder)).to(device)


def from_tensors(
    family: str,
    settings: Mapping[str, Any],
    spec: ImageSpec,
    tensors: Mapping[str, Tensor],
    info: dict[str, Any],
    source: str,
) -> Model:
    """A model of tensors by our names, as an importer hands them over.

    Args:
        source: where they come from, for the error message.

    Raises:
        ModelError: they do not fit the family's networks.
    """
    kind = registry.family(family)
    game = _built(kind, configs.make(kind.Config, settings, family), spec, tensors, source)
    return _assemble(family, game, tensors, info, source)


def _built(family: type[Game], config: Any, spec: ImageSpec, tensors: Mapping[str, Tensor], source: str) -> Game:
    """The networks for these weights, untrained.

    Raises:
        ModelError: the settings make no sense, or ask for far more than the weights explain.
    """
    check_settings(configs.to_plain(config), spec.height, spec.width, source)
    try:
        with within(tensors, source):
            return build_exports(family, config, spec)
    except GansmithError:
        raise
    except Exception as error:  # torch's layers raise many kinds where a number makes no sense
        raise ModelError(
            f"No networks can be built of what {source} says ({first_line(error)}): it was changed or damaged. Copy or download the model "
            "again."
        ) from None


def _assemble(family: str, game: Game, tensors: Mapping[str, Tensor], info: dict[str, Any], source: str) -> Model:
    _load_tensors(game, tensors, source)
    return Model(family, game.eval().requires_grad_(False), info)


def build_exports(family: type[Game], config: Any, spec: ImageSpec) -> Game:
    """A family's game with the exported networks only."""
    game = family(config, spec)
    for name in [name for names in game.players.values() for name in names if name not in game.exports]:
        delattr(game, name)
    return game


def _load_tensors(game: Game, tensors: Mapping[str, Tensor], source: str) -> None:
    expected = exported_tensors(game)
    wrong = [f"'{n}' is missing" for n in expected if n not in tensors]
    wrong += [f"'{n}' does not belong" for n in tensors if n not in expected]
    wrong += [
        f"'{n}' has shape {list(tensors[n].shape)} instead of {list(t.shape)}"
        for n, t in expected.items()
        if n in tensors and tensors[n].shape != t.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ModelError(
            f"The weights in {source} do not fit the networks that their settings describe: {wrong[0]}{more}."
        )
    spoilt = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if spoilt:
        raise ModelError(
            f"The weights in {source} are not numbers ('{spoilt[0]}' holds NaN or infinity): the model is damaged or its training "
            "diverged. Copy or download it again, or take an earlier one."
        )
    game.load_state_dict(dict(tensors), strict=False)


def describe(model: Model) -> dict[str, Any]:
    """A model's facts as json-able values."""
    count = sum(p.numel() for p in model.game.parameters())
    return {"family": model.family, "parameters": count, **dataclasses.asdict(model.spec), **model.info}

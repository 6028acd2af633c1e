"""Models as files: a folder with ``model.safetensors``, ``config.json`` and a model card, to load, share and export."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith import config as configs
from gansmith import registry
from gansmith.abilities import Sampled
from gansmith.errors import GansmithError
from gansmith.files.pictures import to_arrays
from gansmith.game import Game, ImageSpec
from gansmith.models.bounds import load_tensors
from gansmith.models.locate import described, locate, read_document
from gansmith.models.networks import build_exports, built, exported_tensors, fill
from gansmith.models.writing import OPPONENT, write

__all__ = [
    "OPPONENT",
    "Model",
    "averaged_copy",
    "build_exports",
    "describe",
    "exported_tensors",
    "from_tensors",
    "load",
    "save",
]


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
        return self.game.classes if isinstance(self.game, Sampled) else 0

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
            label: a class number or name for all, or one number each; None takes every class in turn, and kinds of pictures
                that nobody labelled (``--kinds``) as often as they are in the data.
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
        """Latents [N, latent_dim] (and class numbers [N]; None takes every class in turn) -> pictures [N, C, H, W] in [-1, 1]."""
        game = self._generation()
        labels = self.labels(len(latents)) if labels is None else labels
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
            return self._in_turn(n)
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

    def _in_turn(self, n: int) -> Tensor:
        """Every class in turn; kinds as often as the data has them, spread evenly, the first k the same for every n."""
        shares = self.kind_shares
        if not shares:
            return torch.arange(n) % self.classes
        golden = (5**0.5 - 1) / 2  # multiples of it fill [0, 1) evenly from the first on
        place = (torch.arange(n, dtype=torch.float64) + 0.5) * golden % 1
        ends = torch.tensor(shares, dtype=torch.float64).cumsum(0)
        return torch.searchsorted(ends, place * ends[-1], right=True).clamp_(max=self.classes - 1)

    @property
    def kind_shares(self) -> tuple[float, ...]:
        """How often each class was in the data, where the classes are kinds that ``--kinds`` found; else empty."""
        data = self.info.get("data")
        shares = data.get("kinds") if isinstance(data, dict) else None
        if not isinstance(shares, list) or len(shares) != self.classes:
            return ()
        numbers = [float(share) for share in shares if isinstance(share, (int, float)) and share >= 0]
        return tuple(numbers) if len(numbers) == len(shares) and sum(numbers) > 0 else ()

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

    def _generation(self) -> Sampled[Any]:
        if not isinstance(self.game, Sampled):
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


def averaged_copy(game: Game) -> Game:
    """A second game with copies of the exported networks only, in eval mode: what EMA averages into."""
    import copy

    networks = {name: copy.deepcopy(game.get_submodule(name)) for name in game.exports}
    twin = type(game)(game.config, game.spec, networks).to(game.device)
    return twin.eval().requires_grad_(False)


def save(folder: Path, model: Model, discriminator: Mapping[str, Tensor] | None = None) -> Path:
    """Write a model folder; with a discriminator's tensors, also :data:`OPPONENT`."""
    return write(folder, model.family, model.game, model.info, discriminator)


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
    game = built(family, config, spec, tensors, str(folder / "config.json"))
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
    game = built(kind, configs.make(kind.Config, settings, family), spec, tensors, source)
    return _assemble(family, game, tensors, info, source)


def _assemble(family: str, game: Game, tensors: Mapping[str, Tensor], info: dict[str, Any], source: str) -> Model:
    fill(game, tensors, source)
    return Model(family, game.eval().requires_grad_(False), info)


def describe(model: Model) -> dict[str, Any]:
    """A model's facts as json-able values."""
    count = sum(p.numel() for p in model.game.parameters())
    return {"family": model.family, "parameters": count, **dataclasses.asdict(model.spec), **model.info}

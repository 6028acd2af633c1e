"""Features of real pictures, computed once per data set and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gansmith.data.standard import home_cache
from gansmith.files.atomic import write_atomically
from gansmith.metrics.extractors import Extractor
from gansmith.metrics.features import Progress, extract
from gansmith.parallel import seeding

if TYPE_CHECKING:
    from gansmith.data import Pictures

_FORMAT = 1
_BATCH = 250


def cache_folder() -> Path:
    """Where statistics of real pictures are kept: ``$GANSMITH_CACHE/metrics``, by default ``~/.cache/gansmith/metrics``."""
    root = os.environ.get("GANSMITH_CACHE")
    return (Path(root).expanduser() if root else home_cache()) / "metrics"


def drawn(real: Pictures, count: int, seed: int) -> np.ndarray:
    """Indices of ``count`` real pictures in random order; a smaller count gives the beginning of the same order."""
    return np.random.default_rng(seeding.derive(seed, "real")).permutation(len(real))[:count]


class RealFeatures:
    """Features of pictures drawn from real ones, and scores of real against real.

    Args:
        real: the real pictures.
        extractor: what features to compute.
        count: of how many pictures.
        seed: which pictures.
        folder: where to keep them, or None to keep nothing. A file that cannot be read is computed anew; a folder that
            cannot be written costs only the next call's time.
        progress: told (what, done, total).

    Attributes:
        features: float32 [count, d].
    """

    def __init__(
        self,
        real: Pictures,
        extractor: Extractor,
        count: int,
        seed: int,
        folder: Path | None,
        progress: Progress | None = None,
    ) -> None:
        parts = (_FORMAT, real.hash, real.spec.shape, len(real), extractor.name, extractor.fingerprint, count, seed)
        key = hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
        self._path = folder / f"{extractor.name}-{key}.safetensors" if folder else None
        self._floors = self._read_floors()
        found = self._read()
        if found is not None and len(found) == count:
            self.features = found
            return
        step = counter(progress, f"real pictures, {extractor.label}", count)
        self.features = extract(extractor, fetched(real, drawn(real, count, seed)), step)
        self._write()

    def floor(self, name: str, compute: Callable[[], Any]) -> Any:
        """A score of real against real, json-able, computed once."""
        if name not in self._floors:
            self._floors[name] = compute()
            if self._path:
                _try_writing(self._path.with_suffix(".json"), json.dumps(self._floors).encode())
        return self._floors[name]

    def _read(self) -> np.ndarray | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(self._path)["features"] if self._path else None
        except (OSError, SafetensorError, KeyError):
            return None

    def _write(self) -> None:
        from safetensors.numpy import save

        if self._path:
            _try_writing(self._path, save({"features": np.ascontiguousarray(self.features)}))

    def _read_floors(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.with_suffix(".json").read_text()) if self._path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def fetched(real: Pictures, indices: np.ndarray) -> Iterator[Tensor]:
    """Real pictures batch by batch, uint8 [n, C, H, W]."""
    for start in range(0, len(indices), _BATCH):
        yield real.fetch(indices[start : start + _BATCH])[0]


def counter(progress: Progress | None, what: str, total: int) -> Callable[[int], None] | None:
    """Adds up what is done and passes it on as (what, done, total)."""
    if progress is None:
        return None
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        progress(what, done, total)

    return step


def _try_writing(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError:
        pass  # a read-only home or a full disk: measured all the same, only not kept

"""Photographs of any size, to cut random windows from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gansmith.data.decode import size_range
from gansmith.data.depth import centred
from gansmith.data.files import Source
from gansmith.data.planning import (
    checked_size,
    content_hash,
    default_memory_limit,
    refuse_many_broken,
    settle_range,
    survey,
)
from gansmith.data.sources import in_bytes
from gansmith.data.specs import open_source
from gansmith.data.standins import Standins
from gansmith.data.threads import Progress, in_parallel
from gansmith.errors import DataError
from gansmith.game import ImageSpec


class Photographs:
    """Pictures in their own sizes, held in memory as uint8 where they fit, else decoded whenever they are asked for.

    Attributes:
        channels: 1, 3 or 4, of every picture.
        sizes: (width, height) of every picture.
        hash, name, names, skipped, streams, unread, notes, known_range: as for :class:`Pictures`; pictures that were too
            small are in ``skipped``.
    """

    def __init__(
        self,
        source: Source,
        channels: int,
        hash: str,
        *,
        held: list[Tensor] | None,
        broken: Standins,
        sizes: list[tuple[int, int]],
        deep: bool = False,
    ) -> None:
        self.sizes = sizes
        self.channels, self.hash, self.skipped = channels, hash, broken.skipped
        self.name, self.names, self.streams = source.name, source.names, held is None
        self.unread, self.notes, self.known_range = source.unread, source.notes, source.known_range
        self._source, self._held, self._standins, self._deep = source, held, broken, deep

    def __len__(self) -> int:
        return len(self.names)

    def spec_for(self, crop: int) -> ImageSpec:
        """Facts about windows of this size."""
        return ImageSpec(crop, crop, self.channels)

    def picture(self, index: int) -> Tensor:
        """A whole picture, uint8 [C, H, W]. Raises ``Broken`` if it is streamed and cannot be decoded."""
        return in_bytes(self._picture(index))

    def _picture(self, index: int) -> Tensor:
        return self._held[index] if self._held is not None else _decode(self._source, index, self.channels, self._deep)

    def crops(
        self,
        indices: np.ndarray,
        size: int,
        corners: np.ndarray,
        flips: np.ndarray | None = None,
        *,
        deep: bool = False,
    ) -> Tensor:
        """Square windows, uint8 [n, C, size, size].

        Args:
            indices: [n] which pictures; one may come several times.
            corners: [n, 2] numbers in [0, 1): the window's place from top to bottom and from left to right.
            flips: [n] booleans: mirror left and right.
            deep: all bits that there are: int16 where they are more than 8, as :meth:`Pictures.fetch_deep` gives them.

        Raises:
            DataError: a picture is smaller than ``size``, or over 10 % turned out broken.
        """
        dtype = torch.int16 if self._deep else torch.uint8
        out = torch.empty(len(indices), self.channels, size, size, dtype=dtype)

        def cut(slot: int, row: int) -> None:
            picture = self._picture(row)
            height, width = picture.shape[1:]
            if min(height, width) < size:
                raise DataError(f"'{self.names[row]}' is {width}x{height}, smaller than the window of {size}.")
            top, left = (int(c * (side - size + 1)) for c, side in zip(corners[slot], (height, width), strict=True))
            window = picture[:, top : top + size, left : left + size]
            out[slot] = window.flip(2) if flips is not None and flips[slot] else window

        if self.streams:
            self._standins.fill(indices, cut)
        else:
            for slot, row in enumerate(indices):
                cut(slot, int(row))
        return out if deep else in_bytes(out)


def open_photographs(
    spec: str,
    *,
    channels: int = 3,
    min_size: int,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Photographs:
    """Open pictures to cut windows from; the spec is what :func:`open_pictures` takes.

    Args:
        channels: 1, 3 or 4.
        min_size: pictures with a side shorter than this are left out.
        memory_limit, progress: as for :func:`open_pictures`.

    Raises:
        DataError: nothing there, all too small, or over 10 % broken.
    """
    checked_size(min_size)
    source = open_source(spec)
    total = len(source)
    headers, broken = survey(source, progress and (lambda done, n: progress(done, 2 * n)))
    refuse_many_broken(source.name, broken, total)
    keep = [i for i, h in headers.items() if min(h.width, h.height) >= min_size]
    if not keep:
        raise DataError(
            f"All pictures in '{source.name}' ({size_range(list(headers.values()))}) are smaller than the window of "
            f"{min_size}x{min_size} pixels to be cut from them. Give a smaller --size, or larger pictures."
        )
    small = headers.keys() - set(keep)
    skipped = broken + [
        (source.names[i], f"{headers[i].width}x{headers[i].height}, smaller than {min_size}") for i in sorted(small)
    ]
    source, good = source.select(np.array(keep)), [headers[i] for i in keep]
    settle_range(source, good)
    sizes = [(h.width, h.height) for h in good]
    deep = any(h.bits > 8 for h in good)
    digest = content_hash(source, good, ImageSpec(0, 0, channels))
    limit = default_memory_limit() if memory_limit is None else memory_limit
    if sum(h.width * h.height for h in good) * channels * (1 + deep) > limit:
        standins = Standins(source, broken, skipped, total)
        return Photographs(source, channels, digest, held=None, broken=standins, sizes=sizes, deep=deep)
    found = in_parallel(
        lambda i: _decode(source, i, channels, deep),
        len(source),
        progress and (lambda done, n: progress(n + done, 2 * n)),
    )
    held = {i: picture for i, picture in enumerate(found) if isinstance(picture, Tensor)}
    late = [(source.names[i], str(found[i])) for i in range(len(found)) if i not in held]
    refuse_many_broken(source.name, broken + late, total)
    source = source.select(np.array(list(held))) if late else source
    standins = Standins(source, broken + late, skipped + late, total)
    sizes = [sizes[i] for i in held]
    return Photographs(source, channels, digest, held=list(held.values()), broken=standins, sizes=sizes, deep=deep)


def _decode(source: Source, index: int, channels: int, deep: bool) -> Tensor:
    pixels = centred(source.deep_pixels(index, channels, None)) if deep else source.pixels(index, channels, None)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

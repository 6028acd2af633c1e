"""Pictures made from those of another source: halves, and sides brought to the size of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from gansmith.data.decode import Header
from gansmith.data.depth import Range, scaled
from gansmith.data.files import Source
from gansmith.data.threads import Broken


class Derived(Source):
    """Pictures that are made from those of another source."""

    def __init__(self, whole: Source) -> None:
        self.whole = whole
        self.name, self.names, self.ignored = whole.name, whole.names, whole.ignored
        self.unread, self.notes = whole.unread, whole.notes

    @property
    def known_range(self) -> Range | None:  # type: ignore[override]
        return self.whole.known_range

    @known_range.setter
    def known_range(self, value: Range | None) -> None:
        self.whole.known_range = value


class Half(Derived):
    """The left (0) or right (1) half of every picture of another source."""

    def __init__(self, whole: Source, side: int) -> None:
        super().__init__(whole)
        self.side = side

    def header(self, index: int) -> Header:
        header = self.whole.header(index)
        if header.width % 2:
            raise Broken(f"{header.width} pixels wide: two pictures side by side have an even width")
        if header.width <= header.height:
            raise Broken(
                f"{header.width}x{header.height}: two pictures side by side are wider than high; single ones go into two folders"
            )
        return replace(header, width=header.width // 2, digest=header.digest + bytes([self.side]))

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        image = self.whole.picture(index, at_least and 2 * at_least)
        half = image.width // 2
        return image.crop((self.side * half, 0, (self.side + 1) * half, image.height))

    def deep(self, index: int) -> np.ndarray | None:
        held = self.whole.deep(index)
        return None if held is None else np.split(held, 2, 1)[self.side]

    def select(self, rows: np.ndarray) -> Half:
        return Half(self.whole.select(rows), self.side)


class Scaled(Derived):
    """Pictures brought to the sizes (width, height) of their partners, so that both are cut alike afterwards."""

    def __init__(self, whole: Source, sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__(whole)
        self.sizes = list(sizes)

    def header(self, index: int) -> Header:
        header, (width, height) = self.whole.header(index), self.sizes[index]
        return replace(header, width=width, height=height, digest=header.digest + f"{width}x{height}".encode())

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        image = self.whole.picture(index, at_least)
        return image if image.size == self.sizes[index] else image.resize(self.sizes[index], Image.Resampling.LANCZOS)

    def deep(self, index: int) -> np.ndarray | None:
        held = self.whole.deep(index)
        return None if held is None else scaled(held, self.sizes[index])

    def select(self, rows: np.ndarray) -> Scaled:
        return Scaled(self.whole.select(rows), [self.sizes[i] for i in rows])

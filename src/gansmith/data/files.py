"""Where pictures lie before anything is decided about them."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image

from gansmith.data.decode import Header, deep_of, fingerprint, fit, header_of, open_file, opened, picture_of
from gansmith.data.depth import Range, resized, stretched, with_channels
from gansmith.data.pages import Reader, expanded, page_header
from gansmith.files.paths import as_text


class Source(ABC):
    """Pictures of any size and mode, read one by one.

    Attributes:
        name: what to call the set.
        names: a name for every picture, unique within the set.
        labels: [N] int64 class numbers, or None.
        class_names: a name for each class.
        ignored: files that were found and are no pictures.
        unread: (name, reason) of pictures that were found and are of kinds that cannot be read here.
        notes: what a person should know of how the set was read.
        known_range: black and white of pictures with more than 8 bits, once it is known.
    """

    name: str
    names: list[str]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    ignored: list[str]
    unread: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    known_range: Range | None = None

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def header(self, index: int) -> Header:
        """Size, mode and content hash of a picture, without decoding it. Raises ``Broken``."""

    @abstractmethod
    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        """A picture in mode L, LA, RGB or RGBA, upright; see :func:`read_picture`. Raises ``Broken``."""

    @abstractmethod
    def select(self, rows: np.ndarray) -> Source:
        """The same set with these pictures only, in this order."""

    def deep(self, index: int) -> np.ndarray | None:
        """All that a picture of more than 8 bits a channel holds, or None; see :func:`read_deep`. Raises ``Broken``."""
        return None

    def at_hand(self, rows: Sequence[int]) -> Sequence[int]:
        """Those of these pictures that can be read without fetching much."""
        return rows

    def pixels(self, index: int, channels: int, size: tuple[int, int] | None) -> np.ndarray:
        """A picture as uint8 [H, W, C]. Raises ``Broken``."""
        return fit(self.picture(index, None if size is None else 2 * max(size)), channels, size)

    def deep_pixels(self, index: int, channels: int, size: tuple[int, int] | None) -> np.ndarray:
        """A picture as uint16 [H, W, C], its range stretched from 0 to 65535; one of 8 bits too. Raises ``Broken``."""
        held = self.deep(index)
        if held is None:
            return self.pixels(index, channels, size).astype(np.uint16) * 257
        wide = with_channels(stretched(held, self.known_range), channels)
        return wide if size is None else resized(wide, size)


class FileSource(Source):
    """Picture files that an opener gives by key: paths, members of a zip, cells of a table.

    Args:
        files: the keys.
        several: look for files of several pictures, of which each becomes a picture of the set.
    """

    def __init__(
        self,
        name: str,
        files: list[str],
        opener: Callable[[str], BinaryIO],
        *,
        labels: np.ndarray | None = None,
        class_names: tuple[str, ...] = (),
        ignored: list[str] | None = None,
        unread: Sequence[tuple[str, str]] = (),
        notes: Sequence[str] = (),
        digest: Callable[[str], bytes] | None = None,
        several: bool = False,
    ) -> None:
        self.name, self.ignored = as_text(name), ignored or []
        self.labels, self.class_names = labels, class_names
        self._opener, self._digest = opener, digest
        self.names, self._pages, found = expanded(files, opener) if several else (files, {}, [])
        self.unread, self.notes = list(unread), [*notes, *found]
        self._reader = Reader(lambda key: open_file(lambda: opener(key)))

    @property
    def has_pages(self) -> bool:
        """Whether any file holds several pictures."""
        return bool(self._pages)

    def file_of(self, index: int) -> str | None:
        """The key of a picture's own file, or None for a page of a file of several."""
        name = self.names[index]
        return None if name in self._pages else name

    def open(self, index: int) -> BinaryIO:
        """A picture's file. Raises ``Broken``."""
        name = self.names[index]
        key, _ = self._pages.get(name, (name, 0))
        return open_file(lambda: self._opener(key))

    @contextmanager
    def _at(self, index: int) -> Iterator[tuple[BinaryIO, Image.Image]]:
        place = self._pages.get(self.names[index])
        if place is not None:
            with self._reader.at(*place) as kept:
                yield kept
            return
        with self.open(index) as file, opened(file) as image:
            yield file, image

    def header(self, index: int) -> Header:
        name = self.names[index]
        key, page = self._pages.get(name, (name, 0))
        with self._at(index) as (file, image):
            digest = self._digest(key) if self._digest else fingerprint(file)
            if name in self._pages:
                return page_header(image, hashlib.blake2b(digest + str(page).encode(), digest_size=16).digest())
            return header_of(image, digest)

    def picture(self, index: int, at_least: int | None = None) -> Image.Image:
        with self._at(index) as (file, image):
            made = picture_of(file, image, at_least, self.known_range)
            return (
                made.copy() if made is image and self.file_of(index) is None else made
            )  # the file moves on to other pages

    def deep(self, index: int) -> np.ndarray | None:
        with self._at(index) as (file, image):
            return deep_of(file, image)

    def select(self, rows: np.ndarray) -> FileSource:
        chosen = copy.copy(self)
        chosen.names = [self.names[i] for i in rows]
        chosen.labels = None if self.labels is None else self.labels[rows]
        return chosen

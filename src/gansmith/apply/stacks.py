"""Stacks through a translation model: every page of a TIFF, and the results as the pages of one file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from gansmith.apply.deep import Deep, range_of
from gansmith.apply.storing import Stored, stored_at
from gansmith.data import depth
from gansmith.data.decode import Header, deep_of, header_of, open_image, picture_of
from gansmith.data.pages import pages_of
from gansmith.data.threads import Broken
from gansmith.errors import first_line


@dataclass(frozen=True)
class Page:
    """One page, not translated yet.

    Attributes:
        number: its place in the file, from 0 on.
        upright: in 8 bits.
        deep: with all its bits, where it has more than 8.
    """

    number: int
    header: Header
    stored: Stored
    upright: Image.Image
    deep: Deep | None


def numbers_of(file: BinaryIO, stored: Stored) -> tuple[list[int], int]:
    """The pages of a TIFF that are pictures of their own, at most ``MOST_PAGES``, and how many there are; one for all else."""
    return pages_of(file) if stored.kind == "TIFF" else ([0], 1)


def pages(
    opener: Callable[[], BinaryIO], numbers: Sequence[int], trained: depth.Range | None, whole: bool
) -> Iterator[Page]:
    """Every page, one after the other; those of more than 8 bits have one range of black and white.

    Args:
        trained: black and white of the model's training.
        whole: keep all bits.

    Raises:
        Broken: a page cannot be decoded; says which.
    """
    known = _common_range(opener, numbers, trained) if whole else None
    with opener() as file, opener() as again:
        image, undecoded = open_image(file), open_image(again)  # decoding a TIFF turns it, and forgets how it lay
        for number in numbers:
            with _named(number):
                image.seek(number)
                undecoded.seek(number)
                header, stored = header_of(image), stored_at(again, undecoded)
                pixels = deep_of(file, image) if whole and header.bits > 8 else None
                deep = None if pixels is None or known is None else Deep(pixels, known)
                upright = picture_of(file, image) if deep is None else deep.image
            yield Page(number, header, stored, upright, deep)


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Whatever goes wrong with a page is said with its number. Raises ``Broken``."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything on bad bytes
        raise Broken(f"page {number + 1} cannot be read: {first_line(error)}") from None


def _common_range(
    opener: Callable[[], BinaryIO], numbers: Sequence[int], trained: depth.Range | None
) -> depth.Range | None:
    """Black and white of all pages together, so that equal numbers stay equal; None where none has more than 8 bits."""
    ends: list[tuple[int, int]] = []
    kind, tagged = np.dtype(np.uint16), None
    with opener() as file:
        image = open_image(file)
        for number in numbers:
            with _named(number):
                image.seek(number)
                header = header_of(image)
                pixels = deep_of(file, image)
            if pixels is not None:
                kind, tagged = pixels.dtype, tagged or header.tagged
                ends.append(depth.extremes(pixels))
    return range_of(np.array(depth.joined(ends), kind).reshape(2, 1, 1), tagged, trained) if ends else None


def merged(files: Sequence[bytes]) -> bytes:
    """TIFF files of a page each as one file of all their pages."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, new=True) as writer:
        for content in files:
            writer.write(content)
            writer.newFrame()
    return buffer.getvalue()

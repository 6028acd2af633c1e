"""PNG files of 16 bits a channel, colours too."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image


def png16(pixels: np.ndarray, metadata: Mapping[str, Any] | None = None) -> bytes:
    """The file of a picture with 16 bits a channel.

    Args:
        pixels: uint16 [H, W, C]: grey, grey and alpha (stored as RGBA), RGB or RGBA.
        metadata: what Pillow's ``save`` takes for a PNG.
    """
    metadata = metadata or {}
    if pixels.shape[2] == 1:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels[..., 0])).save(buffer, "PNG", **metadata)
        return buffer.getvalue()
    import cv2

    if pixels.shape[2] == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    _, content = cv2.imencode(".png", pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    small = io.BytesIO()  # Pillow writes no colours of 16 bits: it writes what goes with them
    Image.new("RGB", (1, 1)).save(small, "PNG", **metadata)
    extra = [chunk for name, chunk in _chunks(small.getvalue()) if name not in (b"IHDR", b"IDAT", b"IEND")]
    own = [(name, chunk) for name, chunk in _chunks(content.tobytes()) if name in (b"IHDR", b"IDAT", b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + own[0][1] + b"".join(extra) + b"".join(chunk for _, chunk in own[1:])


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """A PNG's chunks, (name, whole chunk)."""
    found, at = [], 8
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        found.append((name, content[at : at + 12 + length]))
        at += 12 + length
    return found

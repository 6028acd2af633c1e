"""Which picture files are read, and the messages about files that are not."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from PIL import Image, PngImagePlugin, features

# Only raster decoders: a file's content decides its format, and Pillow would run Ghostscript on an EPS named .png.
# TGA has no signature, so it is tried last.
_BY_FORMAT = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "HEIF": (".heic", ".heif", ".hif"),
    "PSD": (".psd",),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "QOI": (".qoi",),
    "DDS": (".dds",),
    "ICO": (".ico",),
    "SUN": (".ras",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
_PLUGINS = ("Avif", "Jpeg2K", "Psd", "Pcx", "Sgi", "Qoi", "Dds", "Ico", "Sun", "Tga", "Tiff", "WebP")

_NEEDS_HEIF = "HEIF pictures need the package pillow-heif: pip install pillow-heif"
_NEEDS_AVIF = "AVIF pictures need Pillow 11.3 or later, built with libavif: pip install -U pillow"
_NEEDS_JPEG2000 = "this Pillow was built without JPEG 2000: pip install -U pillow"
_RAW = "raw files of cameras are not read: develop them to TIFF, PNG or JPEG first"
_VECTOR = "drawings and documents are not read: export them as PNG first"
_FILM = "films are not read: take their frames out first, for instance with ffmpeg -i FILM frames/%06d.png"
_SCIENCE = "this scientific format is not read: convert it to 16-bit TIFF or PNG first"
_OTHER = "this format is not read: convert it to PNG first"

PROFILE_BYTES = 16 << 20
"""Most bytes that a colour profile or a text inside a PNG may unpack to. Pillow's own limit of 1 MiB refuses real profiles."""
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, PROFILE_BYTES)


def _lacking() -> dict[str, str]:
    """Formats that this installation cannot read, and why."""
    lacking = {}
    if importlib.util.find_spec("pillow_heif") is None:
        lacking["HEIF"] = _NEEDS_HEIF
    if not ("avif" in features.modules and features.check("avif")):
        lacking["AVIF"] = _NEEDS_AVIF
    if not features.check("jpg_2000"):
        lacking["JPEG2000"] = _NEEDS_JPEG2000
    return lacking


def _load_decoders() -> None:
    for name in _PLUGINS:
        try:
            importlib.import_module(f"PIL.{name}ImagePlugin")
        except ImportError:  # an older Pillow
            LACKING.setdefault(name.upper(), _OTHER)
    if "HEIF" not in LACKING:
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except (ImportError, OSError):  # its library does not fit this machine
            LACKING["HEIF"] = _NEEDS_HEIF


LACKING = _lacking()
"""Pillow's names of formats that cannot be read here, with the reason and what to do."""
_load_decoders()

FORMATS = tuple(kind for kind in _BY_FORMAT if kind not in LACKING)
"""Pillow's names of the formats that are read, in the order in which they are tried."""
EXTENSIONS = frozenset(ending for kind in FORMATS for ending in _BY_FORMAT[kind])
"""Endings of files that are taken for pictures, in lower case."""

UNREAD: dict[str, str] = {
    **{ending: LACKING[kind] for kind in LACKING for ending in _BY_FORMAT.get(kind, ())},
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw"), _RAW),
    **dict.fromkeys((".svg", ".eps", ".ps", ".ai", ".pdf", ".wmf", ".emf"), _VECTOR),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".flv"), _FILM),
    **dict.fromkeys((".dcm", ".dicom", ".nii", ".fits", ".fit", ".czi", ".lif", ".nd2", ".svs", ".mrc"), _SCIENCE),
    **dict.fromkeys((".jxl", ".exr", ".hdr", ".xcf", ".kra", ".icns", ".cur", ".xbm", ".xpm", ".jxr", ".fli"), _OTHER),
}
"""Endings of files that hold pictures which are not read here, and why."""

KNOWN = (
    "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000, TGA, HEIF (with pillow-heif) and other files that Pillow decodes"
)
"""For messages: what is read."""

_SIGNATURES: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1", b"ftypheim"), _NEEDS_HEIF),
    (4, (b"ftypavif", b"ftypavis"), _NEEDS_AVIF),
    (4, (b"ftypcrx ",), _RAW),
    (4, (b"ftypisom", b"ftypmp4", b"ftypqt  ", b"ftypM4V"), _FILM),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "JPEG XL pictures are not read: convert them to PNG first"),
    (0, (b"%PDF", b"%!PS", b"<svg", b"<?xml"), _VECTOR),
    (128, (b"DICM",), _SCIENCE),
    (0, (b"SIMPLE  =",), _SCIENCE),
    (0, (b"\x76\x2f\x31\x01", b"gimp xcf"), _OTHER),
)


def suffix(name: str) -> str:
    """A file name's ending, in lower case."""
    return PurePosixPath(name).suffix.lower()


def reason_for(head: bytes) -> str:
    """Why a file whose first bytes are these cannot be read, as far as they tell."""
    for start, signatures, reason in _SIGNATURES:
        if head[start:].startswith(signatures):
            return f"its content is not a picture of a known format: {reason}"
    return "its content is not a picture of a known format"


def why_unread(unread: Sequence[tuple[str, str]]) -> str:
    """'14 .heic: HEIF pictures need ...' for each kind of picture that was passed over; ``unread`` is (name, reason)."""
    kinds = Counter((reason, suffix(name)) for name, reason in unread)
    by_reason: dict[str, list[str]] = {}
    for (reason, ending), count in kinds.most_common():
        by_reason.setdefault(reason, []).append(f"{count:,} {ending or 'without ending'}")
    return "; ".join(f"{', '.join(parts)}: {reason}" for reason, parts in by_reason.items())


def writable(kind: str) -> bool:
    """Whether Pillow writes a format, by its name of it."""
    return kind.upper() in Image.SAVE

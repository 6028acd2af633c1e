"""Files from the browser: streamed to disk, limited, and looked at before they may stay."""

from __future__ import annotations

import io
import math
import os
import re
import shutil
import unicodedata
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

from gansmith.errors import DataError
from gansmith.studio.errors import Refused
from gansmith.studio.workspace import PICKLES, Workspace

PICTURE_BYTES = 64 << 20
PICTURE_PIXELS = 80_000_000
ARCHIVE_BYTES = 4 << 30
ARCHIVE_CONTENT = 16 << 30
"""Most bytes a zip may unpack to."""
ARCHIVE_RATIO = 300
"""A zip that grows more than this is a bomb, not pictures."""
FILES_PER_SET = 100_000
ARRAYS = 64
"""Most arrays of an npz; three of them mean anything."""
_ARRAY_HEADER = 1 << 14
"""Bytes that the header of an array may take."""
SPARE = 1 << 30
"""Bytes that stay free on the disk."""


def clean_path(text: str) -> PurePosixPath:
    """A file's path within an uploaded folder, made of safe names.

    Raises:
        Refused: it is empty, absolute, climbs, or is too deep.
    """
    text = unicodedata.normalize("NFC", text)
    parts = text.split("/")
    if text.startswith("/") or "\\" in text or "\0" in text or len(parts) > 12 or len(text) > 500:
        raise Refused("That file has a path that cannot be used.")
    names = [re.sub(r"[^\w .,()+=@\[\]-]", "_", part).strip(" ") for part in parts]
    if any(not name or name.startswith(".") or name.endswith(".") or len(name.encode()) > 200 for name in names):
        raise Refused("That file has a name that cannot be used.")
    return PurePosixPath(*names)


def new_set(workspace: Workspace, name: str) -> Path:
    """An empty folder for a new set; a number is added to a name that is taken."""
    stem = re.sub(r"[^\w-]+", "-", name).strip("-")[:50] or "pictures"
    workspace.data.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = workspace.data / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise Refused("There are too many sets of that name.")


def incoming(workspace: Workspace) -> Path:
    """Where files are until they are whole and looked at."""
    return workspace.state / "incoming"


def free_file(path: Path) -> Path:
    """A path that is not taken: a number is added to a name that is."""
    for number in range(1, 10_000):
        found = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if not found.exists():
            return found
    raise Refused("There are too many files of that name.")


async def receive(chunks: AsyncIterator[bytes], target: Path, most: int) -> int:
    """Stream a body to a file; nothing is left behind if it fails. Returns its length."""
    if shutil.disk_usage(target.parent).free < SPARE:
        raise Refused("The disk is almost full. Make room, then upload again.", 507)
    length = 0
    try:
        with target.open("xb") as file:
            async for chunk in chunks:
                length += len(chunk)
                if length > most:
                    raise Refused(f"'{target.name}' is larger than the {most >> 20} MB that are taken.", 413)
                file.write(chunk)
    except FileExistsError:
        raise Refused("A file of that name is there already.", 409) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return length


def check_picture(path: Path, name: str = "") -> str:
    """Look whether a file is a picture that may be kept; returns its format.

    Args:
        name: what its sender calls it, for the message.

    Raises:
        Refused: it is none, it is damaged at its beginning, or it has too many pixels.
    """
    from PIL import Image

    from gansmith.data.decode import open_file, read_header
    from gansmith.data.formats import FORMATS
    from gansmith.data.threads import Broken

    try:
        with open_file(lambda: path.open("rb")) as file:
            header = read_header(file)
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                kind = image.format or ""
    except (Broken, OSError, SyntaxError, ValueError) as reason:
        raise Refused(f"'{name or path.name}' cannot be used: {reason}", 422) from None
    if header.width * header.height > PICTURE_PIXELS:
        raise Refused(
            f"'{name or path.name}' has {header.width}x{header.height} pixels; up to {PICTURE_PIXELS // 10**6} million are taken.",
            422,
        )
    return kind


def check_archive(path: Path) -> int:
    """Look whether a zip or npz may be kept, without unpacking it; returns how many files it holds.

    Raises:
        Refused: it is damaged, encrypted, a bomb, holds pickles or no pictures.
    """
    from gansmith.data.archives import open_archive
    from gansmith.data.formats import EXTENSIONS

    is_npz = path.suffix.lower() == ".npz"
    try:
        with open_archive(path, FILES_PER_SET) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_entries(path, entries)
            if is_npz:
                _check_npz(archive, entries, path.name)
    except Refused:
        raise
    except DataError as error:
        raise Refused(str(error).replace(str(path), path.name), 422) from None
    except Exception as error:  # a malformed archive makes zipfile and numpy raise many kinds
        raise Refused(f"'{path.name}' is damaged: {error or type(error).__name__}", 422) from None
    if not is_npz and not any(Path(entry.filename).suffix.lower() in EXTENSIONS for entry in entries):
        raise Refused(f"'{path.name}' holds no pictures.", 422)
    return len(entries)


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > FILES_PER_SET:
        raise Refused(f"'{path.name}' holds {len(entries):,} files; up to {FILES_PER_SET:,} are taken.", 422)
    content = sum(entry.file_size for entry in entries)
    if content > ARCHIVE_CONTENT or content > ARCHIVE_RATIO * max(os.path.getsize(path), 1 << 16):
        raise Refused(f"'{path.name}' unpacks to {content >> 20:,} MB, which looks like a zip bomb.", 422)
    for entry in entries:
        suffix = Path(entry.filename).suffix.lower()
        if entry.flag_bits & 1:
            raise Refused(f"'{path.name}' is encrypted. Pack it without a password.", 422)
        if suffix in PICKLES - {".npy"} or (suffix == ".npy" and path.suffix.lower() != ".npz"):
            raise Refused(
                f"'{path.name}' holds '{entry.filename}': pickles are not taken, reading one could run code.", 422
            )


def _check_npz(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], name: str) -> None:
    from numpy.lib import format as npy

    from gansmith.data.archives import read_member
    from gansmith.data.planning import default_memory_limit

    if len(entries) > ARRAYS:
        raise Refused(f"'{name}' holds {len(entries):,} arrays; up to {ARRAYS} are taken.", 422)
    content, room = sum(entry.file_size for entry in entries), default_memory_limit()
    if content > room:  # arrays are read whole, by the studio and by a training
        raise Refused(
            f"'{name}' unpacks to {content >> 20:,} MB, and {room >> 20:,} MB of memory are free for it. Bring the pictures as a "
            "folder or a zip of files, which are read one by one.",
            422,
        )
    for entry in entries:
        file = io.BytesIO(read_member(archive, entry, _ARRAY_HEADER))
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise Refused(f"'{name}' holds Python objects: pickles are not taken, reading one could run code.", 422)
        if math.prod(shape) * dtype.itemsize > entry.file_size:  # an array is made as large as it says it is
            raise Refused(f"'{name}' is damaged: '{entry.filename}' is shorter than it says.", 422)


def refuse_pickles(name: str) -> None:
    """Raise ``Refused`` for a file name that stands for a pickle."""
    if Path(name).suffix.lower() in PICKLES:
        raise Refused(
            f"'{Path(name).name}' is a pickle or weights file. Pictures are taken: JPEG, PNG, WebP, BMP, TIFF, GIF, a zip of them, or an .npz.",
            415,
        )

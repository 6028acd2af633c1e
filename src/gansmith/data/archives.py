"""Zips opened and read within limits: what a file says of itself is counted again where it costs time and memory.

A zip's list of files stands at its end, and how long it is can be said in several places of which a forged file fills in only
some. So nothing here trusts those: the bytes are counted as ``zipfile`` asks for them.
"""

from __future__ import annotations

import bz2
import copy
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gansmith.errors import DataError

MOST_ENTRIES = 2_000_000
"""Most files of one zip. More belong into shards (tar files)."""
BYTES_PER_ENTRY = 256
"""Bytes of the list that an entry may take on average: its name, and what programs add to it."""
_ENTRY = struct.Struct("<4s24xHHH12x")
_EXTRA_WORK = 1 << 31
"""zipfile copies the rest of an entry's extra field for each part of it: most bytes that may be copied so, over all entries."""
_ENDS = 1 << 18
"""Bytes read at a zip's end beside the list: the records that say where it lies, and a comment of up to 64 KB."""
_STEP = 1 << 16
"""Bytes taken from a member at once."""
_LZMA_WINDOW = 64 << 20
"""Largest window that a member packed by LZMA may ask memory for."""


class TooMuch(DataError):
    """A zip that would take more time or memory than pictures do."""


class Counted(io.BufferedIOBase):
    """A file that counts what is read of it until :attr:`free` is set."""

    def __init__(self, path: Path, entries: int) -> None:
        self.file = path.open("rb")
        self.size = self.file.seek(0, os.SEEK_END)
        self.file.seek(0)
        self.entries, self.left, self.free = entries, entries * BYTES_PER_ENTRY + _ENDS, False
        self.name = path.name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
        if self.free:
            return self.file.read(size)
        rest = max(0, self.size - self.file.tell())
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > self.left:
            raise TooMuch(f"'{self.name}' holds far more files than the {self.entries:,} that are taken.")
        self.left -= wanted
        found = self.file.read(wanted)
        if found.startswith(b"PK\1\2"):
            self._look_through(found)
        return found

    def _look_through(self, listed: bytes) -> None:
        at = count = work = 0
        while at + 46 <= len(listed):
            mark, name, extra, comment = _ENTRY.unpack_from(listed, at)
            if mark != b"PK\1\2":
                return  # zipfile stops here too
            at, count, work = at + 46 + name + extra + comment, count + 1, work + extra * extra // 8
            if count > self.entries:
                raise TooMuch(f"'{self.name}' holds more than the {self.entries:,} files that are taken.")
            if work > _EXTRA_WORK:
                raise TooMuch(f"'{self.name}' has a list of files that is padded with gigabytes of nothing.")

    def close(self) -> None:
        self.file.close()
        super().close()


def open_archive(path: Path, entries: int = MOST_ENTRIES) -> zipfile.ZipFile:
    """Open a zip for reading.

    Args:
        entries: most files that it may hold.

    Raises:
        TooMuch: its list is longer.
        DataError: it is no zip, or damaged.
    """
    file: Counted | None = None
    try:
        file = Counted(path, entries)
        archive = zipfile.ZipFile(file)
    except TooMuch:
        if file is not None:
            file.close()
        raise
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, struct.error) as error:
        if file is not None:
            file.close()
        raise DataError(f"'{path}' cannot be read as a zip: {error}. Make the zip again, or give the folder.") from None
    file.free = True
    return archive


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int | None = None) -> bytes:
    """The content of a zip's member, never more than it says it has.

    ``ZipFile.read`` unpacks first and cuts off afterwards, which lets a member of 20 bytes fill the memory.

    Args:
        most: read no more than so many bytes.

    Raises:
        zipfile.BadZipFile, OSError, zlib.error and others: it is damaged.
    """
    wanted = info.file_size if most is None else min(most, info.file_size)
    if info.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        found = b"".join(_unpacked(archive, info, wanted))
    else:
        with archive.open(info) as member:
            found = b"".join(_read(member, wanted))  # which compares the checksum at the end
        return found
    if wanted == info.file_size and zlib.crc32(found) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return found


def _read(member: IO[bytes], wanted: int) -> Iterator[bytes]:
    while wanted > 0:
        part = member.read(min(_STEP, wanted))
        if not part:
            return
        yield part
        wanted -= len(part)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, wanted: int) -> Iterator[bytes]:
    """What zipfile unpacks without a limit: 45 MB of zeros come out of 40 bytes of bzip2."""
    packed = copy.copy(info)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
    del packed.CRC  # it is that of what comes out
    with archive.open(packed) as member:
        unpacker = bz2.BZ2Decompressor() if info.compress_type == zipfile.ZIP_BZIP2 else _lzma(member)
        while wanted > 0 and not unpacker.eof:
            given = member.read(_STEP) if unpacker.needs_input else b""
            part = unpacker.decompress(given, wanted)
            if not part and not given and unpacker.needs_input:
                raise EOFError(f"{info.filename!r} ends too early")
            yield part
            wanted -= len(part)


def _lzma(member: IO[bytes]) -> lzma.LZMADecompressor:
    """A decompressor for the settings that stand before the packed bytes (APPNOTE.TXT, 5.8.8)."""
    _, length = struct.unpack("<HH", member.read(4))
    first, window = struct.unpack_from("<BI", member.read(length))
    if first >= 225 or window > _LZMA_WINDOW:
        raise zipfile.BadZipFile(f"its window of {window >> 20} MB is larger than pictures need")
    chosen = {"lc": first % 9, "lp": first // 9 % 5, "pb": first // 45, "dict_size": window}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, **chosen}])

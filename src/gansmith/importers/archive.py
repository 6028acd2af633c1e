"""The members of a zip that ``torch.save`` wrote, none of them larger than the file allows."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from gansmith.errors import ModelError, first_line
from gansmith.importers.notes import printable

MAX_LIST = 2**22
"""Bytes of a zip's list of members. It is read whole, and takes some twenty times as much memory; a large checkpoint's has 1 MB."""

MAX_EXTRA = 1024
"""Bytes that a member's entry in that list may have beside its name."""

MAX_GROWTH = 8
"""How many times larger than the file its members may be together. torch does not compress them; packers may have."""

SPARE = 2**20
"""Bytes that the members of any file may have, however small it is."""


class _Careful:
    """A file that gives no more than ``MAX_LIST`` bytes at once, for the time that a zip's list is read.

    Attributes:
        file: the file itself; another handle of it may take its place.
        most: bytes given at once; 0 for any number.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.most = file, MAX_LIST
        self.size = file.seek(0, io.SEEK_END)

    def read(self, count: int = -1) -> bytes:
        left = max(0, self.size - self.file.tell())
        count = left if count is None or count < 0 else min(count, left)
        if self.most and count > self.most:
            raise zipfile.BadZipFile("its list of members is too long")
        found = self.file.read(count)
        if self.most and found.startswith(b"PK\1\2"):
            _check_extras(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True


def _check_extras(listed: bytes) -> None:
    """Refuse a list of members whose extra fields are long: zipfile takes quadratic time for each, and torch writes none."""
    place = 0
    while listed[place : place + 4] == b"PK\1\2" and place + 46 <= len(listed):
        name, extra, comment = struct.unpack_from("<HHH", listed, place + 28)
        if extra > MAX_EXTRA:
            raise zipfile.BadZipFile("a member has an extra field that is too long")
        place += 46 + name + extra + comment


class Archive:
    """A zip whose list of members has been read.

    Args:
        path: the file, which is open only while something is read.

    Raises:
        ModelError: it is damaged, encrypted, compressed in an unusual way, or its members are larger than its size allows.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, path.name
        source = self.source
        try:
            with path.open("rb") as file:
                self.file = _Careful(file)
                self.zip = zipfile.ZipFile(self.file)  # type: ignore[arg-type]
        except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError, struct.error) as error:
            raise ModelError(
                f"{source} cannot be read ({printable(first_line(error))}). It is damaged, incomplete or no file of weights."
            ) from None
        self.file.most = 0
        members = self.zip.infolist()
        self.members = {member.filename: member for member in members}
        if len(self.members) != len(members):
            raise ModelError(
                f"{source} has several members of one name, which torch never writes. It is damaged, or an attack."
            )
        if any(member.flag_bits & 1 for member in members):
            raise ModelError(f"{source} is encrypted. Unpack it first and import what is inside.")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise ModelError(
                f"{source} is compressed in a way that torch cannot read. Unpack it first and import what is inside."
            )
        content = sum(member.file_size for member in members)
        if content > MAX_GROWTH * self.file.size + SPARE:
            raise ModelError(
                f"{source} would unpack to {content >> 20} MB, {content // max(self.file.size, 1)} times its own size, which no file of "
                "weights does. It was not read; it may have been made to fill the memory of whoever opens it."
            )

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            ModelError: there is no such member, or it is damaged.
        """
        member = self.members.get(name)
        if member is None:
            raise ModelError(
                f"{self.source} lacks its part '{printable(name)}'. It is damaged or incomplete. Download it again."
            )
        try:
            with self.path.open("rb") as self.file.file:
                content = self.zip.read(member)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
            UnicodeError,
        ) as error:
            raise ModelError(
                f"{self.source} is damaged: its part '{printable(name)}' cannot be read ({printable(first_line(error))}). "
                "Download it again."
            ) from None
        if len(content) != member.file_size:
            raise ModelError(
                f"{self.source} is damaged: its part '{printable(name)}' is incomplete. Download it again."
            )
        return content

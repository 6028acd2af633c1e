"""Zips: the names in them as people meant them, and the members that are wanted."""

from __future__ import annotations

import os
import re
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gansmith.data.archives import open_archive

_UTF8, _UNICODE_PATH = 0x800, 0x7075
_NATIVE = ("gbk", "cp932", "big5", "cp949")
"""Encodings of names that older programs wrote without saying so."""
_COMMON = {"gbk": "gb2312", "cp932": "shift_jis", "big5": "big5", "cp949": "euc_kr"}
"""The everyday letters of each, which most of a name consists of."""
_SHARE = 0.8


@dataclass
class Members:
    """What a zip holds.

    Attributes:
        archive: the open zip.
        infos: the wanted members by name, '/' between folders.
        others: names of the rest, without folders and hidden files.
        unsafe: names that point out of the zip.
        notes: what a person should know.
    """

    archive: zipfile.ZipFile
    infos: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    others: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    unsafe: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_members(path: Path, wanted: Callable[[str], bool], hidden: Callable[[list[str]], bool]) -> Members:
    """The members of a zip, nothing unpacked.

    Of several members of one name the last is taken, as unpacking would leave it. Names without an encoding are read as
    UTF-8, GBK, Shift-JIS, Big5 or EUC-KR where they are such text, and as the zip format has it (cp437) where not.

    Raises:
        DataError: not a zip, or damaged.
    """
    archive = open_archive(path)
    infos = [info for info in archive.infolist() if not info.is_dir()]
    found = Members(archive)
    names, encoding = _names(infos)
    if encoding is not None:
        found.notes.append(f"the zip does not say how its names are encoded; they were read as {encoding.upper()}")
    twice = []
    for info, name in zip(infos, names, strict=True):
        parts = [part for part in name.replace("\\", "/").split("/") if part != "."]  # some write './cats/1.jpg'
        if not parts or hidden(parts):
            continue
        clean = "/".join(parts)
        if _escapes(parts):
            found.unsafe.append(name)
            continue
        home = found.infos if wanted(clean) else found.others
        if clean in home and home is found.infos:
            twice.append(clean)
        home[clean] = info
    if twice:
        found.notes.append(
            f"{len(twice):,} name(s) are in the zip more than once, such as {twice[0]}: the last of each is taken"
        )
    return found


def _escapes(parts: Sequence[str]) -> bool:
    """Whether a member's path leaves the zip: climbs, begins at the root, or names a drive."""
    drive = re.match(r"[A-Za-z]:", parts[0]) is not None or (os.name == "nt" and any(":" in part for part in parts))
    return ".." in parts or parts[0] == "" or drive


def _names(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], str | None]:
    """Names as people meant them, and the encoding that was guessed."""
    raw = {i: _raw(info) for i, info in enumerate(infos) if not info.flag_bits & _UTF8 and not info.filename.isascii()}
    said = {i: _unicode_path(info.extra) for i, info in enumerate(infos) if i in raw}
    unsaid = [content for i, content in raw.items() if content is not None and said[i] is None]
    encoding = _guessed(unsaid) if unsaid else None
    names = []
    for i, info in enumerate(infos):
        content = raw.get(i)
        if said.get(i):
            names.append(said[i] or "")
        elif content is not None and encoding is not None:
            names.append(content.decode(encoding))
        else:
            names.append(info.filename)
    return names, None if encoding == "utf-8" else encoding


def _raw(info: zipfile.ZipInfo) -> bytes | None:
    """A name's bytes: Python reads them as cp437, which has a letter for every byte."""
    try:
        return info.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return None


def _unicode_path(extra: bytes) -> str | None:
    """The name in Info-ZIP's Unicode Path field (APPNOTE.TXT 4.6.9): id, length, version, CRC, UTF-8."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == _UNICODE_PATH and 5 < length <= len(extra) - 4 and extra[4] == 1:
            try:
                return extra[9 : 4 + length].decode()
            except UnicodeDecodeError:
                return None
        extra = extra[4 + length :]
    return None


def _guessed(names: Sequence[bytes]) -> str | None:
    """The encoding in which all names are text, most of it of its plain character set; None for cp437."""
    try:
        for name in names:
            name.decode()
        return "utf-8"
    except UnicodeDecodeError:
        pass
    for encoding in _NATIVE:
        try:
            decoded = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        letters = sum(not letter.isascii() for name in decoded for letter in name)
        plain = sum(_plain_letters(name, _COMMON[encoding]) for name in decoded)
        if letters and plain >= _SHARE * letters:
            return encoding
    return None


def _plain_letters(name: str, encoding: str) -> int:
    """Letters that a name in this encoding would have: common ones, and not one alone inside a Latin word."""
    count = 0
    for before, letter, after in zip(f"/{name}", name, f"{name[1:]}/", strict=False):
        if letter.isascii() or unicodedata.category(letter) != "Lo" or not _encodes(letter, encoding):
            continue
        alone = before.isascii() and after.isascii() and (before.isalpha() or after.isalpha())
        count += not alone
    return count


def _encodes(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
        return True
    except UnicodeEncodeError:
        return False

"""Downloads that go on where they stopped, and are checked before anybody uses them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from gansmith.errors import ModelError, first_line
from gansmith.files.atomic import write_atomically
from gansmith.models.catalogue.entries import File

Progress = Callable[[int, int], None]
"""Called with (bytes that are here, bytes in all or 0 if that is unknown)."""

TRIES = 5
"""Connections in a row that bring nothing before it gives up."""
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as cut."""
MOST_BYTES = 1 << 34
_BLOCK = 1 << 18


def mirrored(url: str) -> list[str]:
    """Where to look for an address: the mirrors of ``$GANSMITH_MIRROR`` first, then the address itself.

    Mirrors are separated by commas. In each, ``{url}``, ``{path}`` and ``{file}`` stand for the address, its path and its
    last part; one without any gets ``/FILE`` appended.
    """
    parts = urlsplit(url)
    places = []
    for mirror in filter(None, (part.strip() for part in os.environ.get("GANSMITH_MIRROR", "").split(","))):
        if urlsplit(mirror).scheme not in ("http", "https"):
            raise ModelError(f"GANSMITH_MIRROR is an address that begins with http:// or https://, not '{mirror}'.")
        file = quote(parts.path.rsplit("/", 1)[-1], safe="%._-~")
        words = {"{url}": url, "{path}": parts.path.lstrip("/"), "{file}": file}
        place = mirror if any(word in mirror for word in words) else f"{mirror.rstrip('/')}/{file}"
        for word, value in words.items():
            place = place.replace(word, value)
        places.append(place)
    return [*places, url]


def fetch(file: File, target: Path, progress: Progress = lambda done, total: None) -> str:
    """Download a file; what an earlier try brought is kept and completed.

    Args:
        target: where it goes, whole and checked or not at all. Until then ``TARGET.part`` grows beside it.

    Returns:
        its SHA-256.

    Raises:
        ModelError: no network, not there, cut off too often, no space, or another checksum than the catalogue's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    reasons: list[str] = []
    for place in mirrored(file.url):
        try:
            _complete(place, file, part, progress)
            break
        except _Failed as reason:
            reasons.append(f"{place}: {reason}")
    else:
        kept = (
            f" {part.stat().st_size / 1e6:.1f} MB are kept; the same command goes on from there."
            if part.exists()
            else ""
        )
        raise ModelError(
            f"{file.name} could not be downloaded ({'; '.join(reasons)}).{kept} Without a network, copy the file from another machine and "
            "give it with --file; GANSMITH_MIRROR names another place to look."
        )
    digest = sha256(part)
    _notes(part).unlink(missing_ok=True)
    if file.sha256 and digest != file.sha256:
        part.unlink()
        raise ModelError(
            f"{file.name} was downloaded and thrown away: its SHA-256 is {digest} and must be {file.sha256}. The file was changed on the "
            "way or at its source; try again, and if it happens twice, do not use it."
        )
    part.replace(target)
    return digest


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Failed(Exception):
    """A place that does not give the file; says why."""


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _complete(url: str, file: File, part: Path, progress: Progress) -> None:
    """Bring the rest of a file, over as many connections as bring something."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _connection(url, file, part, progress):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # what is here is longer than what is there
                part.unlink(missing_ok=True)
                failures += 1
            elif error.code < 500 and error.code not in (408, 429):
                raise _Failed(f"the server answers {error.code} {error.reason}") from None
            reason = f"the server answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            cause = getattr(error, "reason", error)
            reason = (
                "no answer in time"
                if isinstance(cause, TimeoutError)
                else f"no connection ({first_line(_exception(cause))})"
            )
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if failures >= TRIES or (failures and before == 0):
            raise _Failed(reason)
        time.sleep(min(0.2 * 2**failures, 5.0))


def _exception(cause: Any) -> BaseException:
    return cause if isinstance(cause, BaseException) else OSError(str(cause))


def _connection(url: str, file: File, part: Path, progress: Progress) -> bool:
    """One connection; True when the file is whole."""
    notes = _read_notes(part)
    have = part.stat().st_size if part.exists() and notes.get("url") == file.url else 0
    headers = {"User-Agent": "gansmith", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if notes.get("etag"):
            headers["If-Range"] = notes["etag"]
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        start, total = _extent(answer, have)
        if (file.bytes and total and total != file.bytes) or total > MOST_BYTES:
            raise _Failed(
                f"the file there has {total:,} bytes instead of {file.bytes:,}"
                if file.bytes
                else f"{total:,} bytes are too many"
            )
        total = total or file.bytes
        _check_space(part, max(0, total - start), file)
        etag = answer.headers.get("ETag", "")
        note = {"url": file.url, "etag": etag if not etag.startswith("W/") else ""}
        write_atomically(_notes(part), json.dumps(note))
        done = start
        with part.open("r+b" if start else "wb") as output:
            output.seek(start)
            output.truncate()
            progress(done, total)
            with contextlib.suppress(http.client.IncompleteRead):
                while block := answer.read(_BLOCK):
                    output.write(block)
                    done += len(block)
                    progress(done, total)
                    if done > (total or MOST_BYTES):
                        raise _Failed("the server sends more than it announced")
    return done == total if total else True


def _extent(answer: Any, have: int) -> tuple[int, int]:
    """At which byte an answer begins, and how many the whole file has (0 unknown)."""
    length = int(answer.headers.get("Content-Length") or 0)
    if answer.status != 206:
        return 0, length
    said = answer.headers.get("Content-Range", "")
    unit, _, rest = said.partition(" ")
    span, _, whole = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or first != str(have):
        raise _Failed("the server goes on at another place than was asked for")
    return have, int(whole) if whole.isdecimal() else have + length


def _read_notes(part: Path) -> dict[str, str]:
    try:
        found = json.loads(_notes(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_space(part: Path, needed: int, file: File) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise ModelError(f"{file.name} needs {needed / 1e6:,.0f} MB and {part.parent} has {free / 1e6:,.0f} MB free.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to the web only, and never from a secured address to an open one."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise urllib.error.URLError(f"the address leads to {after}://, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

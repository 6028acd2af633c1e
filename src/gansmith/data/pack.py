"""Pack pictures into tars that stream well: shuffled once, verified, with an index; see :mod:`gansmith.data.shards`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from gansmith.data.decode import fingerprint, fit, read_header, read_picture
from gansmith.data.files import FileSource, Source
from gansmith.data.formats import suffix
from gansmith.data.planning import checked_size, refuse_many_broken, settle_range, survey
from gansmith.data.png16 import png16
from gansmith.data.shards import ShardSource
from gansmith.data.specs import open_source
from gansmith.data.tars import INDEX, Shard, scan
from gansmith.data.threads import Broken, Progress, threads
from gansmith.errors import DataError
from gansmith.files.atomic import clear_leftovers, replacing, write_atomically
from gansmith.files.paths import named


@dataclass
class Packed:
    """What :func:`pack` wrote: the folder, tars, pictures, bytes, and (name, reason) of what was left out."""

    folder: Path
    shards: int
    pictures: int
    bytes: int
    broken: list[tuple[str, str]]


def pack(
    spec: str, out: Path, *, per_shard: int = 1000, size: int | None = None, progress: Progress | None = None
) -> Packed:
    """Write the pictures of ``spec`` as ``out/000000.tar`` and so on, by threads, and read everything back.

    Files keep their bytes unless ``size`` is given; then they are resized, cut to the middle and stored as PNG. Pictures are
    shuffled, so that every tar is a sample of all; classes become ``.cls`` files.

    Raises:
        DataError: nothing to pack, more than 10 % broken, a folder that is not empty, or a tar that reads back differently.
            The folder is only there once it is whole.
    """
    if per_shard < 1:
        raise DataError(f"--per-shard is how many pictures a tar holds: 1 or more, not {per_shard}.")
    resize = checked_size(size)
    source = open_source(spec)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"'{out}' exists already. Choose another folder with --out.")
    paged = (isinstance(source, FileSource) and source.has_pages) or (
        isinstance(source, ShardSource) and bool(source.pages)
    )
    if resize is not None or paged:
        _settle_range(source)
    out = named(out).resolve() if out.is_symlink() else named(out)
    clear_leftovers(out.parent, out.name)
    try:
        with replacing(out) as temporary:
            temporary.mkdir(parents=True)
            packed = _write(source, temporary, per_shard, resize, progress)
            if out.exists():
                out.rmdir()  # empty, as was seen above
    except OSError as error:
        raise DataError(f"The tars could not be written to '{out}': {error.strerror or error}.") from None
    return replace(packed, folder=out)


def _settle_range(source: Source) -> None:
    """Black and white of the whole set, for what is stored anew."""
    headers, _ = survey(source)
    chosen = source.select(np.array(list(headers), np.int64))
    settle_range(chosen, list(headers.values()))
    source.known_range = chosen.known_range


def _write(
    source: Source, out: Path, per_shard: int, resize: tuple[int, int] | None, progress: Progress | None
) -> Packed:
    rows = np.random.RandomState(0).permutation(len(source))  # its stream is frozen: the same tars on every machine
    parts = [rows[start : start + per_shard] for start in range(0, len(rows), per_shard)]
    digits = max(6, len(str(len(parts) - 1)))
    shards, broken, done = [], [], 0
    pool = ThreadPoolExecutor(threads())
    try:
        jobs = [
            pool.submit(_write_shard, source, part, out / f"{i:0{digits}d}.tar", resize) for i, part in enumerate(parts)
        ]
        for job, part in zip(jobs, parts, strict=True):
            shard, left_out = job.result()
            shards.append(shard)
            broken += left_out
            done += len(part)
            if progress is not None:
                progress(done, len(rows))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C nothing more is begun
    refuse_many_broken(source.name, broken, len(source))
    document = {"format": 1, "class_names": list(source.class_names), "shards": [asdict(shard) for shard in shards]}
    write_atomically(out / INDEX, gzip.compress(json.dumps(document).encode(), mtime=0))
    return Packed(out, len(shards), sum(len(s.files) for s in shards), sum(s.bytes for s in shards), broken)


def _write_shard(
    source: Source, rows: np.ndarray, path: Path, resize: tuple[int, int] | None
) -> tuple[Shard, list[tuple[str, str]]]:
    broken: list[tuple[str, str]] = []
    headers, digests, labels = [], [], []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row in rows.tolist():
            try:
                content, ending = _encoded(source, row, resize)
                read_picture(io.BytesIO(content))  # decodes: a file that is cut short looks whole in its header
                header = read_header(io.BytesIO(content), fingerprint(io.BytesIO(content)))
            except Broken as reason:
                broken.append((source.names[row], str(reason)))
                continue
            key = f"{row:09d}"
            _add(archive, key + ending, content)
            if source.labels is not None:
                labels.append(int(source.labels[row]))
                _add(archive, f"{key}.cls", str(labels[-1]).encode())
            facts = [header.width, header.height, header.mode, int(header.colour), header.digest.hex()]
            headers.append([*facts, header.bits, header.tagged])
            digests.append(hashlib.blake2b(content, digest_size=16).digest())
    shard = _verified(path, digests, labels)
    shard.name, shard.headers = path.name, headers
    return shard, broken


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # no time, no owner: the same pictures make the same tar
    info.size, info.mode = len(content), 0o644
    archive.addfile(info, io.BytesIO(content))


def _verified(path: Path, digests: list[bytes], labels: list[int]) -> Shard:
    """Read a tar back and compare every picture."""
    shard = scan(path)
    content = path.read_bytes()
    pieces = (content[offset : offset + size] for offset, size in zip(shard.offsets, shard.sizes, strict=True))
    if [hashlib.blake2b(piece, digest_size=16).digest() for piece in pieces] != digests or shard.labels != labels:
        raise DataError(f"'{path}' does not read back as it was written: the disk may be full or failing.")
    shard.digest = hashlib.blake2b(content).hexdigest()
    return shard


def _encoded(source: Source, row: int, resize: tuple[int, int] | None) -> tuple[bytes, str]:
    """The bytes of a picture's file and its ending."""
    if resize is None and isinstance(source, FileSource) and (file_name := source.file_of(row)) is not None:
        with source.open(row) as file:
            return file.read(), suffix(file_name) or ".png"
    if resize is None and isinstance(source, ShardSource) and not source.is_page(row):
        return source.encoded(row), PurePosixPath(source.names[row]).suffix.lower()
    deep = source.deep(row)
    if deep is not None:
        whole = deep.dtype == np.uint16 and resize is None  # every number as it is
        channels = {1: 1, 3: 3}.get(deep.shape[2], 4)
        return png16(deep if whole else source.deep_pixels(row, channels, resize)), ".png"
    image = source.picture(row, None if resize is None else 2 * max(resize))
    if resize is not None:
        channels = {"L": 1, "LA": 4, "RGBA": 4}.get(image.mode, 3)
        pixels = fit(image, channels, resize)
        image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), ".png"

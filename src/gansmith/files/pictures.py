"""Pictures as files: grids, folders, film strips and videos."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.files.alpha import on_white
from gansmith.files.atomic import clear_leftovers, replacing, write_atomically

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".gif", ".webm")
LONGEST = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}
"""Most pixels a side that a format holds, by Pillow's name of it; others hold any number."""


def grid(images: Tensor, columns: int, *, scale: int = 0) -> np.ndarray:
    """One picture of many.

    Args:
        images: [N, C, H, W] in [-1, 1].
        columns: pictures per row.
        scale: enlarge by this whole factor; 0 enlarges small pictures to about 56 px.

    Returns:
        uint8 [H', W'] (grey) or [H', W', C].
    """
    from torchvision.utils import make_grid

    scale = scale or max(1, round(56 / images.shape[2]))
    tiled = make_grid(to_uint8(images.detach().cpu()), nrow=columns, padding=2, pad_value=255)
    if images.shape[1] == 1:
        tiled = tiled[:1]
    array = tiled.permute(1, 2, 0).numpy()
    array = array.repeat(scale, 0).repeat(scale, 1) if scale > 1 else array
    return array[..., 0] if array.shape[2] == 1 else array


def save(path: Path, array: np.ndarray) -> None:
    """Write a uint8 picture [H, W] or [H, W, 1|3|4]; the suffix names the format. Atomic."""
    from PIL import Image

    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise GansmithError(f"'{path.name}': pictures are written as {', '.join(PICTURE_SUFFIXES)}.")
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    image = Image.fromarray(np.ascontiguousarray(array))
    if path.suffix.lower() in (".jpg", ".jpeg", ".bmp") and image.mode == "RGBA":
        image = on_white(image)
    kind = Image.registered_extensions()[path.suffix.lower()]
    if max(image.size) > LONGEST.get(kind, max(image.size)):
        raise GansmithError(
            f"'{path.name}' would be {image.width}x{image.height}, and {kind} holds {LONGEST[kind]} px a side at most: "
            f"write {image.width}x{image.height} pixels as .png, or fewer pictures."
        )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def save_video(path: Path, frames: Iterable[np.ndarray], fps: float = 30.0) -> None:
    """Write uint8 frames [H, W] or [H, W, C], all of one size, as an mp4, webm or a looping gif.

    Films are encoded frame by frame as they come, so a long one of large pictures needs no more memory than a short
    one; a gif is held whole, for its colours are chosen at the end.

    Raises:
        GansmithError: another suffix, or the encoder failed, as it does on a full disk; nothing is left behind.
        OSError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise GansmithError(f"'{path.name}': videos are written as {', '.join(VIDEO_SUFFIXES)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent, path.name)
    if suffix == ".gif":
        write_atomically(path, _gif(frames, fps))
        return
    with replacing(path) as temporary:
        _encode(temporary, frames, fps, suffix)


def _gif(frames: Iterable[np.ndarray], fps: float) -> bytes:
    from PIL import Image

    images = [Image.fromarray(np.ascontiguousarray(_in_colour(frame))) for frame in frames]
    if not images:
        raise GansmithError("A film needs at least one frame.")
    first, *rest = images
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=1000 / fps, loop=0)
    return buffer.getvalue()


def _in_colour(frame: np.ndarray) -> np.ndarray:
    frame = frame[..., None] if frame.ndim == 2 else frame
    return np.repeat(frame, 3, 2) if frame.shape[2] == 1 else frame[..., :3]


_CODECS = {
    ".mp4": ("mp4", ["-c:v", "libx264", "-crf", "18", "-preset", "veryfast"]),
    ".webm": ("webm", ["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0"]),
}
"""ffmpeg's name of a format, and how it is encoded: fast, for films are many small pictures and hold up the end of a run."""


def _encode(path: Path, frames: Iterable[np.ndarray], fps: float, suffix: str) -> None:
    """Hand frames to ffmpeg one by one. Its own exit code is asked: a film cut short by a full disk is no film."""
    import imageio_ffmpeg

    kind, codec = _CODECS[suffix]
    process: subprocess.Popen[bytes] | None = None
    said = b""
    try:
        for frame in map(_in_colour, frames):
            height, width = frame.shape[:2]
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if process is None:
                size = f"{even.shape[1]}x{even.shape[0]}"
                given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{fps:g}", "-i", "-"]
                words = [
                    imageio_ffmpeg.get_ffmpeg_exe(),
                    "-v",
                    "error",
                    "-y",
                    *given,
                    "-an",
                    *codec,
                    "-pix_fmt",
                    "yuv420p",
                ]
                process = subprocess.Popen(
                    [*words, "-f", kind, f"file:{path}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            assert process.stdin is not None
            process.stdin.write(np.ascontiguousarray(even).tobytes())
        if process is None:
            raise GansmithError("A film needs at least one frame.")
        said = process.communicate()[1]
        if process.returncode:
            raise BrokenPipeError
    except BrokenPipeError:
        assert process is not None
        said = process.stderr.read() if process.stderr is not None and not process.stderr.closed else said
        words = said.decode("utf-8", "replace").strip().splitlines() or ["ffmpeg ended"]
        raise GansmithError(f"The film could not be written: {words[-1]}. Is the disk full?") from None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    """Leave no ffmpeg behind, whatever happened to the frames."""
    if process is None:
        return
    if process.poll() is None:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def to_arrays(images: Tensor) -> np.ndarray:
    """[N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C]."""
    return to_uint8(images.detach().cpu()).permute(0, 2, 3, 1).contiguous().numpy()


def opaque(array: np.ndarray) -> np.ndarray:
    """A uint8 picture [H, W] or [H, W, C]; one with alpha is laid on white, for films, which have none."""
    if array.ndim < 3 or array.shape[2] != 4:
        return array
    from PIL import Image

    return np.asarray(on_white(Image.fromarray(array)))


def film_strip(grids: Sequence[np.ndarray], most: int = 8) -> np.ndarray:
    """The same corner of up to ``most`` grids side by side: how the samples changed as training went."""
    chosen = [grids[i] for i in np.unique(np.linspace(0, len(grids) - 1, min(most, len(grids))).round().astype(int))]
    side = min(chosen[0].shape[0], max(1, chosen[0].shape[1] // 4))
    return np.concatenate([g[:, :side] for g in chosen], 1)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255, rounded, values outside clamped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(images: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """uint8 0..255, or int16 -32768..32767, -> float32 in [-1, 1], on the device."""
    moved = images.to(device, non_blocking=True)
    if images.dtype == torch.int16:
        return moved.to(torch.float32).add_(0.5).mul_(1 / 32767.5)
    return moved.to(torch.float32).mul_(1 / 127.5).sub_(1)

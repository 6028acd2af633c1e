"""Pictures as files: grids, folders, film strips and videos."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.errors import GansmithError
from gansmith.files.alpha import on_white
from gansmith.files.atomic import write_atomically

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
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise GansmithError(f"'{path.name}': videos are written as {', '.join(VIDEO_SUFFIXES)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp{suffix}")
    try:
        if suffix == ".gif":
            import imageio.v3 as iio

            iio.imwrite(temporary, [_in_colour(frame) for frame in frames], duration=1000 / fps, loop=0)
        else:
            _encode(temporary, frames, fps)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _in_colour(frame: np.ndarray) -> np.ndarray:
    frame = frame[..., None] if frame.ndim == 2 else frame
    return np.repeat(frame, 3, 2) if frame.shape[2] == 1 else frame[..., :3]


def _encode(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import imageio.v2 as iio

    # a fast preset: films are many small pictures, and encoding them must not hold up the end of a run
    options: dict[str, Any] = {"codec": "libvpx-vp9"}
    if path.suffix.lower() == ".mp4":
        options = {"codec": "libx264", "output_params": ["-crf", "18", "-preset", "veryfast"]}
    writer: Any = iio.get_writer(path, format="FFMPEG", mode="I", fps=fps, macro_block_size=1, **options)  # type: ignore[arg-type]
    try:
        for frame in map(_in_colour, frames):
            height, width = frame.shape[:2]
            writer.append_data(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
    finally:  # as a context manager it would leave ffmpeg running after an error
        writer.close()


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

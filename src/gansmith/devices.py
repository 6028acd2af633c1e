"""Where and in which precision to compute, found out by looking and measuring."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gansmith.errors import GansmithError
from gansmith.parallel import processes

if TYPE_CHECKING:
    from gansmith.game import Game

PRECISIONS = ("auto", "fp32", "bf16", "bf16-products")


@dataclass(frozen=True)
class Device:
    """A device and the precision losses are computed in.

    Attributes:
        precision: "fp32"; "bf16", where convolutions, matrix products and what lies between them are bfloat16; or
            "bf16-products", where matrix products round their factors to bfloat16 and everything is held in float32.
    """

    torch_device: torch.device
    precision: str = "fp32"

    def autocast(self) -> AbstractContextManager[object]:
        """bfloat16 where the precision says so; penalties step out of it by themselves."""
        if self.precision == "bf16":
            return torch.autocast(self.torch_device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def products(self) -> Iterator[None]:
        """For a loss and its backward pass: how exact the factors of float32 matrix products are."""
        if self.precision != "bf16-products":
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def __str__(self) -> str:
        name = (
            torch.cuda.get_device_name(self.torch_device)
            if self.torch_device.type == "cuda"
            else str(self.torch_device)
        )
        return f"{name}, {self.precision}"


def ready_to_train(game: Game, device: torch.device) -> Game:
    """A game as training holds it: on its device, convolutions channels-last, the faster layers on a CPU."""
    from gansmith.nn.cpu import speed_up

    game.to(device)
    if game.convolutional:
        game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu":
        speed_up(game)
    return game


def resolve(device: str = "auto", precision: str = "auto") -> Device:
    """Choose the device (cuda, then mps, then cpu) and the precision, and join the other processes if there are any.

    Raises:
        GansmithError: the device does not exist or cannot compute in that precision.
    """
    if precision not in PRECISIONS:
        raise GansmithError(f"--precision is one of {', '.join(PRECISIONS)}, not '{precision}'.")
    chosen = _device(device)
    processes.join(chosen)
    if precision == "auto":
        precision = processes.from_first(lambda: "bf16" if _bf16_is_faster(chosen.type) else "fp32")
    elif precision.startswith("bf16") and chosen.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise GansmithError("This GPU does not compute in bf16. Use --precision fp32.")
    if chosen.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return Device(chosen, precision)


def _device(name: str) -> torch.device:
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if several and index >= torch.cuda.device_count() > 0:
            raise GansmithError(
                f"There are {torch.cuda.device_count()} GPUs here, and process {index + 1} has none. Start at most one process per GPU, "
                "or train with --device cpu."
            )
        if several and torch.cuda.is_available():
            torch.cuda.set_device(index)
        name = f"cuda:{index}"
    elif name == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() and not several else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise GansmithError(
            f"The device '{name}' cannot be used here ({reason}). Leave --device out to choose by itself."
        ) from None
    return device


def suited(device: Device, game: Game) -> Device:
    """The device in the precision that suits a game's networks best, where nobody says which.

    Networks that are all matrix products spend much of their bf16 time on casting weights and gradients. CPUs with
    bfloat16 tiles (AMX) multiply float32 matrices as fast without.
    """
    if device.precision != "bf16" or device.torch_device.type != "cpu" or game.convolutional:
        return device
    return Device(device.torch_device, "bf16-products") if processes.from_first(_has_tiles) else device


@functools.cache
def _has_tiles() -> bool:
    """Whether this CPU multiplies bfloat16 tiles (AMX) and the library uses them.

    It does so for float32 matrices too where it may round their factors, and rounds them only then: 1 + 2^-12 becomes 1.
    Times would tell as well, but not twice the same on a shared machine.
    """
    finer = torch.full((256, 256), 1 + 2**-12)
    with Device(torch.device("cpu"), "bf16-products").products():
        return (finer @ torch.eye(256))[0, 0].item() == 1.0


@functools.cache
def _bf16_is_faster(kind: str) -> bool:
    """On a GPU: is it supported in hardware. On a CPU: measured, since emulated bf16 can be a hundred times slower."""
    if kind == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if kind != "cpu":
        return False
    if _has_tiles():
        return True
    times = dict.fromkeys((torch.bfloat16, torch.float32), float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread's own processor time is the same on a busy machine
    try:
        for _ in range(4):
            for dtype in times:
                a = torch.ones(256, 256, dtype=dtype)
                start = time.thread_time()
                torch.mm(a, a)
                times[dtype] = min(times[dtype], time.thread_time() - start)
    finally:
        torch.set_num_threads(threads)
    return times[torch.bfloat16] < 0.7 * times[torch.float32]


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's mallopt(3)."""


@contextlib.contextmanager
def kept_memory(device: torch.device) -> Iterator[None]:
    """Inside, what large tensors free stays with the process instead of going back to the system.

    Under glibc every tensor above 32 MB is a mapping of its own, and touching its pages for the first time, at every
    step anew, takes up to a tenth of the time of training on a CPU. Elsewhere this does nothing.
    """
    libc = None
    if device.type == "cpu" and sys.platform == "linux":
        with contextlib.suppress(OSError):
            libc = ctypes.CDLL(None)
    if libc is None or not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, 65536)
        libc.mallopt(_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(ctypes.c_size_t(0))

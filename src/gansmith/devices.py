"""Where and in which precision to compute, found out by looking and measuring."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from gansmith.errors import GansmithError
from gansmith.parallel import processes

if TYPE_CHECKING:
    from gansmith.game import Game

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "bf16-products")


_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@contextlib.contextmanager
def _rounded_products() -> Iterator[None]:
    """Inside, float32 matrix products may round their factors to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Device:
    """A device and the precision losses are computed in.

    Attributes:
        precision: "fp32"; "bf16", where convolutions, matrix products and what lies between them are bfloat16; "fp16",
            where they are float16 and losses are scaled (:mod:`gansmith.training.scaling`); or "bf16-products", where
            matrix products round their factors to bfloat16 and everything is held in float32.
        autocast: a context for a loss: bfloat16 or float16 where the precision says so. Penalties leave it by themselves.
        products: a context for a loss and its backward pass: how exact the factors of float32 matrix products are.
    """

    torch_device: torch.device
    precision: str = "fp32"
    autocast: Callable[[], AbstractContextManager[object]] = field(init=False, repr=False, compare=False)
    products: Callable[[], AbstractContextManager[object]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain, kind = contextlib.nullcontext, self.torch_device.type
        half = _AUTOCAST.get(self.precision)
        object.__setattr__(self, "autocast", functools.partial(torch.autocast, kind, dtype=half) if half else plain)
        object.__setattr__(self, "products", _rounded_products if self.precision == "bf16-products" else plain)

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
        precision = processes.from_first(lambda: _usual_precision(chosen))
    else:
        _check_precision(precision, chosen)
    if chosen.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return Device(chosen, precision)


def _check_precision(precision: str, device: torch.device) -> None:
    """Raise a GansmithError where a device cannot compute in a precision, or only by emulation."""
    if precision == "fp16" and device.type != "cuda":
        raise GansmithError(
            f"--precision fp16 is for CUDA GPUs, and this run computes on {device.type}: leave --precision out, which takes the fastest, "
            "or use fp32."
        )
    if precision == "bf16-products" and device.type != "cpu":
        raise GansmithError(
            "--precision bf16-products is for CPUs with bfloat16 tiles. Leave --precision out on a GPU."
        )
    if precision == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        raise GansmithError(
            f"{torch.cuda.get_device_name(device)} computes bf16 by emulation, many times slower than fp32. Use --precision fp16, which "
            "it has in hardware, or leave --precision out."
        )


def _usual_precision(device: torch.device) -> str:
    """The fastest precision of a device. GPUs before Ampere (T4, V100: compute capability 7) have float16 units only."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    return "bf16" if device.type == "cpu" and _bf16_is_faster() else "fp32"


def _device(name: str) -> torch.device:
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if several and index >= torch.cuda.device_count() > 0:
            raise GansmithError(
                f"There are {torch.cuda.device_count()} GPUs here, and process {index + 1} has none. Start at most one process per GPU, "
                "or train with --device cpu."
            )
        name = f"cuda:{index}"
    elif name == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() and not several else "cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and torch.cuda.is_available():
            _check_index(device)
            torch.cuda.set_device(device)  # before anything asks about "the" GPU: its name, memory, capability
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise GansmithError(
            f"The device '{name}' cannot be used here ({reason}). Leave --device out to choose by itself."
        ) from None
    return device


def _check_index(device: torch.device) -> None:
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        there = "cuda:0 is the only GPU here" if count == 1 else f"there are cuda:0 to cuda:{count - 1}"
        raise GansmithError(f"There is no GPU {device}: {there}. Leave --device out to choose by itself.")


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all it was told to, before a clock is read. A CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_megabytes(device: torch.device) -> float | None:
    """The most memory that tensors have taken on a GPU, in MB; None where the device does not tell. Nobody waits for it."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if device.type == "mps":
        return round(torch.mps.driver_allocated_memory() / 2**20, 1)
    return None


@contextlib.contextmanager
def fixed_shapes(device: torch.device) -> Iterator[None]:
    """Inside, cuDNN tries its algorithms on every new shape and keeps the fastest: for work whose shapes return at every step."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        cudnn.benchmark = before


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Inside, torch and cuDNN take the algorithms that give the same bits every time, where they have such.

    An operation that has none is named in a warning of torch. On CPUs runs are the same bit for bit without this.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it when it starts
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    before_cudnn = cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.deterministic, cudnn.benchmark = before_cudnn


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Inside, no GPU rounds the factors of float32 products to TF32: scores must not depend on the device."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def suited(device: Device, game: Game) -> Device:
    """The device in the precision that suits a game's networks best, if no setting names it.

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
def _bf16_is_faster() -> bool:
    """On this CPU; measured, since emulated bf16 can be a hundred times slower."""
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

"""Several processes that train one model: they find each other, agree, and share sums that have gradients.

Every process plays the same turns on its own rows of each global batch. What a loss computes over its whole batch (batch
norm, minibatch standard deviation, the average path length) goes through :func:`mean` or :func:`gather`, so that N
processes compute what one process with the whole batch would. With one process everything here does nothing.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from gansmith.errors import GansmithError, RunError, first_line
from gansmith.parallel import seeds
from gansmith.parallel.heartbeat import Heartbeat
from gansmith.version import __version__

T = TypeVar("T")

LONG = timedelta(hours=2)
"""How long processes wait for each other while training: the first one may be measuring or saving meanwhile."""


_beats: list[Heartbeat] = []
"""The thread that watches the other processes, where there are any."""


def patience() -> float:
    """Seconds that processes wait for each other at the start: GANSMITH_JOIN_SECONDS, or 60."""
    return float(os.environ.get("GANSMITH_JOIN_SECONDS", "60"))


class LostProcess(RunError):
    """Another process of this run ended or cannot be reached."""


# --- joining and leaving ------------------------------------------------------------------------------------------


def join(device: torch.device) -> None:
    """Find the other processes when started by a launcher (it sets RANK and WORLD_SIZE); otherwise do nothing.

    Raises:
        GansmithError: they do not all come, cannot talk to each other, or do not run the same thing; says why.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or distributed.is_initialized():
        return
    rank = int(os.environ.get("RANK", "0"))
    where = f"{os.environ.get('MASTER_ADDR', 'nowhere')}:{os.environ.get('MASTER_PORT', '?')}"
    store = _meet(where, rank, world)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:  # once with little patience, to see that messages arrive; then for long
        for name, wait in (("preflight", timedelta(seconds=patience())), ("training", LONG)):
            distributed.init_process_group(
                backend, store=PrefixStore(name, store), rank=rank, world_size=world, timeout=wait
            )
            if name == "preflight":
                ones = torch.ones((), device=device)
                distributed.all_reduce(ones)
                assert ones.item() == world
                distributed.destroy_process_group()
    except (RuntimeError, AssertionError) as error:
        raise GansmithError(
            f"Process {rank} of {world} met the others at {where}, but messages between them do not arrive "
            f"({first_line(error)}). A firewall may be in the way, or the wrong network is used: set GLOO_SOCKET_IFNAME "
            "(NCCL_SOCKET_IFNAME for GPUs) to the interface that leads to the other machines; 'ip addr' lists them."
        ) from None
    seeds.set_process(rank, world)
    _beats.append(Heartbeat(PrefixStore("alive", store), rank, world))
    _beats[-1].start()


def lonely() -> str | None:
    """A warning where accelerate launch was asked for several processes and started one, as it does on CPUs; or None."""
    environment = os.environ
    if "WORLD_SIZE" in environment or not {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= environment.keys():
        return None
    return (
        "accelerate launch started one process only, as it does on machines without GPUs: this run uses one. For more, use "
        "gansmith train ... --processes N, torchrun --nproc-per-node N -m gansmith train ..., or accelerate launch --multi_gpu."
    )


def leave() -> None:
    """Say goodbye to the other processes: without it some backends abort at exit."""
    while _beats:
        _beats.pop().stop()
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
        seeds.set_process(0, 1)


def _meet(where: str, rank: int, world: int) -> Store:
    """Connect to the place where all processes meet, and wait until all are there."""
    host, _, port = where.rpartition(":")
    if host == "nowhere" or not port.isdigit():
        raise GansmithError(
            "WORLD_SIZE says that several processes train together, but MASTER_ADDR and MASTER_PORT do not say where they "
            "meet. Start them with: gansmith train ... --processes N, torchrun, or accelerate launch."
        )
    _choose_interface(host)
    seconds = patience()
    here = json.dumps({"world": world, "gansmith": __version__, "torch": str(torch.__version__)})
    hosts_it = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        store = TCPStore(
            host, int(port), is_master=hosts_it, timeout=timedelta(seconds=seconds), wait_for_workers=False
        )
        store = PrefixStore(f"gansmith/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        store.set(f"here/{rank}", here)
    except RuntimeError as error:
        what = "cannot wait for the others" if hosts_it else f"found nobody within {seconds:.0f} s"
        raise GansmithError(
            f"Process {rank} of {world} {what} at {where} ({first_line(error)}). MASTER_ADDR must be the first machine's "
            "address as the others see it, and MASTER_PORT a port that is free there and open between them."
        ) from None
    keys = [f"here/{other}" for other in range(world)]
    try:
        store.wait(keys, timedelta(seconds=seconds))
    except RuntimeError:
        missing = ", ".join(key.removeprefix("here/") for key in keys if not store.check([key]))
        raise GansmithError(
            f"Process {rank} of {world} waited {seconds:.0f} s at {where} for process {missing}. Start {world} processes in all, "
            f"each with another RANK from 0 to {world - 1}, and see on their machines why they do not come."
        ) from None
    for other, key in enumerate(keys):
        theirs = store.get(key).decode()
        if theirs != here:
            raise GansmithError(
                f"Process {rank} is {here}, but process {other} is {theirs}: they must be the same everywhere."
            )
    return store


def _choose_interface(host: str) -> None:
    """Talk over the network on which the meeting place is; by itself gloo takes what the machine's name stands for."""
    if "GLOO_SOCKET_IFNAME" in os.environ:
        return
    import psutil

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing: asks for the route
            mine = probe.getsockname()[0]
    except OSError:
        return
    for name, addresses in psutil.net_if_addrs().items():
        if any(a.address == mine or (mine.startswith("127.") and a.address == "127.0.0.1") for a in addresses):
            os.environ["GLOO_SOCKET_IFNAME"] = name


# --- sums over processes ------------------------------------------------------------------------------------------


def all_reduce_(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place.

    Raises:
        LostProcess: another process ended.
    """
    if seeds.process()[1] > 1:
        try:
            distributed.all_reduce(tensor)
        except RuntimeError as error:
            raise LostProcess(
                f"Another process of this run ended or cannot be reached ({first_line(error)})."
            ) from None
    return tensor


class _Total(torch.autograd.Function):
    """A sum over processes. Its gradient is the sum of all processes' gradients, so it has derivatives of any order."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # type: ignore[override]
        return all_reduce_(tensor.detach().clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _Total.apply(gradient)


def mean(tensor: Tensor) -> Tensor:
    """The mean over all processes, with gradients."""
    world = seeds.process()[1]
    return tensor if world == 1 else _Total.apply(tensor) / world


def gather(rows: Tensor) -> Tensor:
    """Every process's rows [n, ...], in the order of the processes, with gradients: [n * processes, ...]."""
    rank, world = seeds.process()
    if world == 1:
        return rows
    before, after = rank * len(rows), (world - 1 - rank) * len(rows)
    parts = [rows.new_zeros(before, *rows.shape[1:]), rows, rows.new_zeros(after, *rows.shape[1:])]
    return _Total.apply(torch.cat(parts))


def own(rows: Tensor) -> Tensor:
    """This process's part of what :func:`gather` gave."""
    rank, world = seeds.process()
    return rows.chunk(world)[rank] if world > 1 else rows


# --- agreeing -----------------------------------------------------------------------------------------------------


def from_first(make: Callable[[], T]) -> T:
    """What ``make()`` gives the first process; the others are told."""
    rank, world = seeds.process()
    if world == 1:
        return make()
    told: list[Any] = [make() if rank == 0 else None]
    try:
        distributed.broadcast_object_list(told, 0)
    except RuntimeError as error:
        raise LostProcess(f"The first process of this run ended ({first_line(error)}).") from None
    return told[0]


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process of every machine does this before the others: it may download what they then find."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if seeds.process()[1] > 1 and local > 0:
        all_reduce_(torch.zeros(1))
    yield
    if seeds.process()[1] > 1 and local == 0:
        all_reduce_(torch.zeros(1))


def require_same(what: str, value: str) -> None:
    """Raise a GansmithError unless all processes have the same value."""
    first = from_first(lambda: value)
    if all_reduce_(torch.tensor(float(first != value))).item():
        raise GansmithError(
            f"{what} differs between the processes of this run: here it is {value}, in the first process {first}. "
            "Give all machines the same data, settings and versions."
        )


# --- layers that look at the whole batch --------------------------------------------------------------------------

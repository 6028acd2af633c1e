"""``torch.cuda.CUDAGraph`` on a GPU that is not there: operations are recorded, nothing is computed until they are played.

CUDA's rules hold: whatever would keep the host waiting cannot be recorded, memory stays as it was until the graph is played, and what
the host draws or decides while recording is never drawn or decided again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

now: PhantomGraph | None = None
"""What is being recorded."""


class PhantomGraph:
    """Operations in their order, each with the tensors that it reads and the ones that it leaves."""

    def __init__(self) -> None:
        self.operations: list[tuple[Callable[..., Any], tuple[Any, Any, dict[str, Any]], list[Tensor]]] = []
        self.draws = torch.get_rng_state()
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._made: set[int] = set()

    def run(self, func: Any, args: Any, kwargs: dict[str, Any], compute: Callable[[Any, Any, Any], Any]) -> Any:
        """One operation while recording: it is computed, to know what comes of it, and undone in the end."""
        for position, argument in enumerate(func._schema.arguments):
            running = argument.name in (
                "running_mean",
                "running_var",
            )  # batch norm's schema does not say that it writes them
            if running or (argument.alias_info is not None and argument.alias_info.is_write):
                written = args[position] if position < len(args) else kwargs.get(argument.name)
                self._remember([x for x in tree_flatten(written)[0] if isinstance(x, Tensor)])
        made = (
            self._draw(func, args, kwargs, compute)
            if torch.Tag.nondeterministic_seeded in func.tags
            else compute(func, args, kwargs)
        )
        read = {x.untyped_storage()._cdata for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)}
        tensors = [x for x in tree_flatten(made)[0] if isinstance(x, Tensor)]
        fresh = [x for x in tensors if x.untyped_storage()._cdata not in read]
        self._made |= {x.untyped_storage()._cdata for x in fresh}
        again = [x if x.untyped_storage()._cdata not in read else torch.empty(0) for x in tensors]
        self.operations.append((compute, (func, args, kwargs), again))
        return made

    def _draw(self, func: Any, args: Any, kwargs: dict[str, Any], compute: Callable[[Any, Any, Any], Any]) -> Any:
        """An operation that draws: the host's numbers stay where they are."""
        host = torch.get_rng_state()
        torch.set_rng_state(self.draws)
        made = compute(func, args, kwargs)
        self.draws = torch.get_rng_state()
        torch.set_rng_state(host)
        return made

    def _remember(self, written: list[Tensor]) -> None:
        for storage in (x.untyped_storage() for x in written):
            if storage._cdata not in self._made and storage._cdata not in self._before:
                self._before[storage._cdata] = storage, storage.clone()

    def undo(self) -> None:
        """Memory that was there before is as it was."""
        for storage, before in self._before.values():
            storage.copy_(before)

    def replay(self) -> None:
        """Play it: whatever was made comes to lie where it lay."""
        with torch.no_grad(), torch._C._DisableTorchDispatch():
            for compute, called, made in self.operations:
                new = [x for x in tree_flatten(compute(*called))[0] if isinstance(x, Tensor)]
                for old, tensor in zip(made, new, strict=True):
                    if old.numel() and old.data_ptr() != tensor.data_ptr():
                        old.copy_(tensor)


@contextlib.contextmanager
def graph(
    recorded: PhantomGraph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
) -> Iterator[None]:
    """Stands in for ``torch.cuda.graph``."""
    global now
    recorded.draws = torch.get_rng_state()
    now = recorded
    try:
        yield
    finally:
        now = None
        recorded.undo()

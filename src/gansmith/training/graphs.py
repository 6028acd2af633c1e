"""Steps as CUDA graphs: what the losses of a step start on a GPU is recorded once and then started as one.

A small network's kernels take a few microseconds each, about as long as Python takes to start one, so that the GPU waits. A graph
(``torch.cuda.CUDAGraph``) starts hundreds of kernels at once. Recorded are the losses of all turns of a step and their backward
passes. Optimizers, clipping, loss scales and what comes after a turn are played as usual, so that learning rates and betas
stay functions of the clock.

Whatever a loss took from Python when it was recorded stays as it was then. So steps are told apart by their turns and by
:meth:`gansmith.game.Game.phase`, which says what losses take from the clock; each kind of step has a recording of its own, made once
the kind has come up ``WARM`` times.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.errors import first_line
from gansmith.game import Batch, Clock, Game, Logs, Turn

WARM = 3
"""So many steps of a kind are played as usual before one is recorded. Libraries and caches settle in them."""
MOST = 8
"""Kinds of steps that are recorded; each keeps its memory."""
_FORGET = 4096
"""The counts of steps by kind begin anew after so many kinds. Under a schedule every step may be of a new kind; such steps are never recorded."""


@dataclass
class _Recorded:
    """A recorded turn: its graph, and the tensors in which the graph leaves the gradients of the player's weights and the logs."""

    graph: torch.cuda.CUDAGraph
    gradients: list[Tensor | None]
    names: list[str]
    values: Tensor

    def play(self, parameters: Sequence[nn.Parameter]) -> Logs:
        self.graph.replay()
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return dict(zip(self.names, self.values.clone().unbind(), strict=True))


class Chain:
    """The turns of one kind of step, in their order. They share memory, so a turn may keep something for a later one.

    Args:
        graphs: whose memory they share, and who is told where recording fails.
    """

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._batches: list[Batch] = []
        self._turns: list[_Recorded] = []
        self._batch = self._turn = 0

    def begin(self) -> None:
        """A step begins."""
        self._batch = self._turn = 0

    def load(self, batch: Batch) -> Batch:
        """A drawn batch, in the memory that the graphs read."""
        if self._batch == len(self._batches):
            self._batches.append(Batch(*(_copied(x) for x in (batch.images, batch.labels, batch.other))))  # type: ignore[arg-type]
        own = self._batches[self._batch]
        self._batch += 1
        for mine, new in ((own.images, batch.images), (own.labels, batch.labels), (own.other, batch.other)):
            if mine is not None and new is not None:
                mine.copy_(new)
        return Batch(own.images, own.labels, own.other, batch.clock, batch.world_size)

    def play(self, parameters: Sequence[nn.Parameter], parts: Sequence[Batch], compute: Callable[[], Logs]) -> Logs:
        """A turn's loss and gradients: recorded now, or as they were recorded.

        Args:
            parameters: the player's weights.
            parts: what the loss looks at.
            compute: plays the turn as usual: leaves gradients with the weights, returns the logs.
        """
        if self._graphs.failure:
            return compute()
        self._turn += 1
        if self._turn > len(self._turns):
            recorded = self._record(parameters, parts, compute)
            if recorded is None:
                return compute()
            self._turns.append(recorded)
        return self._turns[self._turn - 1].play(parameters)

    def _record(
        self, parameters: Sequence[nn.Parameter], parts: Sequence[Batch], compute: Callable[[], Logs]
    ) -> _Recorded | None:
        """None where it fails: nothing is computed while it is recorded, so that the turn can be played as usual."""
        draws, host = torch.cuda.get_rng_state(), torch.get_rng_state()
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: the thread that makes the next batch ready may allocate and upload meanwhile
            with torch.cuda.graph(graph, pool=self._graphs.pool, capture_error_mode="thread_local"):
                logs = compute()
                values = torch.stack([value.detach().float() for value in logs.values()])
        except Exception as error:  # an operation that cannot be recorded: a wait, an upload, a library's own
            self._graphs.fail(first_line(error))
            torch.cuda.set_rng_state(draws)
            torch.set_rng_state(host)
            for part in parts:  # a loss that was cut short may have used up what an earlier turn kept
                part._kept.clear()
            for parameter in parameters:
                parameter.grad = None
            return None
        if not torch.equal(torch.get_rng_state(), host):  # right for this step alone
            self._graphs.fail("a loss draws random numbers on the host")
        return _Recorded(graph, [p.grad for p in parameters], list(logs), values)


def _copied(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone(memory_format=torch.preserve_format)


class Graphs:
    """Recordings of a game's steps, by kind.

    Args:
        say: told once where a step cannot be recorded; all steps are then played as usual.

    Attributes:
        failure: why steps are no longer recorded, or empty.
        pool: the memory of all recordings, which never play at the same time.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.failure = ""
        self.pool = torch.cuda.graph_pool_handle()
        self._say = say
        self._seen: collections.Counter[Hashable] = collections.Counter()
        self._chains: dict[Hashable, Chain] = {}

    def of(self, game: Game[Any], due: Sequence[Turn], clock: Clock) -> Chain | None:
        """The recording of a step's kind, which may still be to be made; None where the step is to be played as usual."""
        phase = None if self.failure else game.phase(clock)
        if phase is None:
            return None
        kind = (phase, *((turn.player, turn.loss.__name__) for turn in due))
        if kind not in self._chains:
            if len(self._seen) >= _FORGET:
                self._seen.clear()
            self._seen[kind] += 1
            if self._seen[kind] <= WARM or len(self._chains) == MOST:
                return None
            self._chains[kind] = Chain(self)
        self._chains[kind].begin()
        return self._chains[kind]

    def fail(self, reason: str) -> None:
        """Give up recording."""
        self.failure = reason
        self._say(f"A step cannot be recorded as a CUDA graph ({reason}): training goes on without.")

"""How far a reader walks who follows a step, or a whole run: which files are entered, and how long they are.

    python benchmarks/paths_of_a_step.py            one step of wgan-gp, and gansmith.train
    python benchmarks/paths_of_a_step.py --files    the files by name too

A file counts where one of its functions is called. Its lines are all that it has, and beside them stand those of the
functions that were called. What runs while a module is imported does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch

import gansmith
from gansmith.data import MemoryPictures
from gansmith.data.batches import Batches
from gansmith.devices import Device
from gansmith.game import Batch, Clock
from gansmith.training import engine, steps
from gansmith.training.state import Plan, State

PACKAGE = Path(gansmith.__file__).parent
AIMS = {"a step of wgan-gp": "6 files, 1,000 lines", "drawing its pictures": "", "gansmith.train": "30 files"}
"""What is walked -> how far it should be at most."""


@dataclass
class Walk:
    """The functions of gansmith that were called, by file."""

    called: dict[Path, set[CodeType]] = field(default_factory=dict)

    def see(self, frame: FrameType, event: str, _: Any) -> None:
        """A profiler: notes every call."""
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(str(PACKAGE)):
            if not code.co_flags & 0x2:  # the body of a class, not of a function
                return
            self.called.setdefault(Path(code.co_filename), set()).add(code)

    @contextlib.contextmanager
    def going(self) -> Iterator[None]:
        """Notes what is called inside, in threads that begin inside too."""
        threading.setprofile(self.see)
        sys.setprofile(self.see)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @property
    def lines(self) -> int:
        """Lines of the files."""
        return sum(length(path) for path in self.called)

    @property
    def function_lines(self) -> int:
        """Lines of the functions, those of functions inside functions once."""
        return sum(len(set().union(*map(lines_of, codes))) for codes in self.called.values())


def length(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def lines_of(code: CodeType) -> set[int]:
    """Line numbers from a function's first line to its last."""
    last = max((line for *_, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    return set(range(code.co_firstlineno, last + 1))


def pictures(count: int = 64, size: int = 16) -> np.ndarray:
    """Grey noise, uint8 [N, H, W, 1]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), np.uint8)


@dataclass
class AtHand:
    """A source of batches that has drawn its one batch already."""

    batch: Batch
    world_size: int = 8

    def at(self, drawn: int) -> Batch:
        return self.batch


def walk_step() -> tuple[Walk, Walk]:
    """A step in which both players of wgan-gp move and the penalty is due, without a CPU's faster layers.

    Returns:
        The step, with its pictures at hand; and drawing them.
    """
    device, drawing, walk = Device(torch.device("cpu")), Walk(), Walk()
    game = gansmith.build("wgan-gp", size=16, channels=1, width=8, latent_dim=8).train()
    optimizers = engine.make_optimizers(game, device.torch_device)
    batches = Batches(MemoryPictures.from_arrays(pictures()), 8, seed=0)
    with drawing.going():
        batch = batches.at(0)
    state, turns, plan = State(0, Clock(160, 20)), game.turns(), Plan(device)
    with walk.going():
        steps.step(game, optimizers, AtHand(batch), state, turns, plan)
    return walk, drawing


def walk_train(folder: Path) -> Walk:
    """The whole of ``gansmith.train``, on a file of pictures, to a finished run folder."""
    np.savez(folder / "pictures.npz", x=pictures())
    walk = Walk()
    with walk.going():
        gansmith.train(
            "wgan-gp",
            data=folder / "pictures.npz",
            out=folder / "run",
            steps=5,
            batch=8,
            width=8,
            latent_dim=8,
            quiet=True,
        )
    return walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="name the files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        walks = dict(zip(AIMS, (*walk_step(), walk_train(Path(folder))), strict=True))
    print("| what | files | lines in them | lines of the functions called | aim |\n| --- | --- | --- | --- | --- |")
    for name, walk in walks.items():
        print(f"| {name} | {len(walk.called)} | {walk.lines:,} | {walk.function_lines:,} | {AIMS[name]} |")
    if options.files:
        for name, walk in walks.items():
            print(f"\n{name}:")
            for path in sorted(walk.called):
                names = ", ".join(sorted(code.co_name for code in walk.called[path]))
                print(f"  {path.relative_to(PACKAGE)} ({length(path)}): {names}")


if __name__ == "__main__":
    main()

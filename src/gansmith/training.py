"""One run from settings to a finished folder: data, game, checkpoint, hooks, engine. The engine's only caller."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gansmith import (
    chance,
    checkpoint,
    compiling,
    config,
    devices,
    distributed,
    engine,
    hooks,
    registry,
    run,
    terms,
    tracking,
)
from gansmith.bundle import Model, averaged_copy, start_from
from gansmith.config import TrainSettings
from gansmith.data.training import TrainingData, open_training_data
from gansmith.errors import RunError, first_line
from gansmith.game import Game
from gansmith.outputs import Outputs
from gansmith.reporting import Display
from gansmith.run import Run
from gansmith.version import __version__


@dataclasses.dataclass
class Finished:
    """What :func:`train` returns.

    Attributes:
        run: the run folder.
        model: the trained model, on the CPU.
        interrupted: True if it was stopped before its goal.
    """

    run: Run
    model: Model
    interrupted: bool


def train(
    family: str | type[Game], *, settings: TrainSettings, family_config: Any = None, quiet: bool = False
) -> Finished:
    """Train a family, or go on with a run.

    Args:
        family: a family's name or class.
        settings: the run's settings.
        family_config: the family's own settings, an instance of its ``Config``; None takes the defaults.
        quiet: show no progress.

    Raises:
        GansmithError: settings, data or folder cannot be used; or training diverged (:class:`Diverged`).
    """
    kind = registry.family(family) if isinstance(family, str) else family
    name = registry.name_of(kind)
    family_config = family_config or kind.Config()
    if settings.resume and settings.out is not None and settings.precision == "auto":
        settings = dataclasses.replace(settings, precision=Run.open(settings.out).facts["precision"])
    device = devices.resolve(settings.device, settings.precision)
    config.validate(settings, chance.process()[1])
    tracking.check(settings.track)
    try:
        return Session(kind, name, settings, family_config, device, quiet).play()
    finally:
        distributed.leave()


def of_fine_tuning(config: Any) -> Any:
    """A family's settings for a run that starts from a model: ADA moves five times as fast there, where -1 leaves it open."""
    open_ = getattr(config, "augment_images", 0) == -1
    return dataclasses.replace(config, augment_images=100_000) if open_ else config


class Session:
    """The parts of one run, put together in the order in which they need each other."""

    def __init__(
        self,
        kind: type[Game],
        name: str,
        settings: TrainSettings,
        family_config: Any,
        device: devices.Device,
        quiet: bool,
    ) -> None:
        self.name, self.settings, self.device = name, settings, device
        rank, self.processes = chance.process()
        self.main = rank == 0
        parts = settings.accumulate, self.processes, getattr(family_config, "pack", 1)
        if settings.batch:
            terms.check_divides(settings.batch, *parts)  # before the data, which may take minutes
        self.display = Display(quiet or not self.main)
        if settings.out is not None and not settings.resume and self.main:
            run.check_free(settings.out)
        if (alone := distributed.lonely()) is not None:
            self.display.warn(alone)
        with distributed.first_goes_first():
            self.data: TrainingData = open_training_data(kind, settings, family_config, self._warn)
        distributed.require_same("The data", self.data.hash)
        self.batch = terms.batch_of(kind, settings, self.data.spec)
        terms.check_divides(self.batch, *parts)
        self.goal = terms.goal_of(settings, self.batch)
        self.state = engine.State(settings.seed)
        model = None if settings.resume else settings.init
        if model:
            family_config = of_fine_tuning(family_config)
        torch.manual_seed(chance.derive(settings.seed, "init"))
        self.game = kind(family_config, self.data.spec).to(device.torch_device)
        if model:
            start_from(self.game, model)
        if settings.precision == "auto":
            self.device = devices.suited(device, self.game)
        self.run = self._claim_folder(family_config)  # only now: settings that do not fit leave nothing behind
        if self.game.convolutional:
            self.game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizers = engine.make_optimizers(self.game, device.torch_device)
        self.average = hooks.Average(self.game, self.batch)
        distributed.synchronise(self.game)  # not the average: the first process uses it alone
        self.batches = self.data.batches(
            self.batch, chance.derive(settings.seed, "data"), device.torch_device, self.game.convolutional
        )
        self._restore()
        self._compile()

    def play(self) -> Finished:
        """Train to the goal, a signal or a divergence; save; report."""
        plan = engine.Plan(self.device, self.settings.accumulate, self.settings.clip_grad)
        self._announce()
        with chance.alone():
            outputs = Outputs(self)
        status = "diverged"
        try:
            with stop_on_signals(self.state), self.display, devices.kept_memory(self.device.torch_device):
                engine.train(
                    self.game, self.optimizers, self.batches, self.state, goal=self.goal, plan=plan, hooks=outputs.hooks
                )
                status = "finished" if self.state.clock.progress >= 1.0 else "stopped"
                with chance.alone():
                    outputs.save_last(status)
        except distributed.LostProcess as error:
            status = "stopped"
            raise RunError(f"{error} Go on from the last checkpoint with: {self._go_on()}") from None
        finally:
            outputs.close(status)
        if status == "stopped":
            self.display.say(f"Stopped and saved. Go on with: {self._go_on()}")
        else:
            applied = hasattr(self.game, "translate")
            use = f"apply {self.run.root} PICTURES --out DIR" if applied else f"sample {self.run.root} --out grid.png"
            self.display.say(f"Done: {self.run.root}. Read report.md, look at samples/; make more with: gansmith {use}")
        model = Model(self.name, averaged_copy(self.average.game).cpu(), self.info())
        return Finished(self.run, model, status == "stopped")

    # --- the parts ------------------------------------------------------------------------------------------------

    def _claim_folder(self, family_config: Any) -> Run:
        settings = self.settings
        if settings.resume:
            if settings.out is None:
                raise RunError("--resume needs --out: the run folder to go on with. 'gansmith runs' lists them.")
            found = Run.open(settings.out)
            self._check_same(found, family_config)
            found.train |= {
                k: v for k, v in config.to_plain(settings).items() if k in terms.RESUMABLE and k != "resume"
            }
            if self.main:
                found.write_config()
            return found
        root = distributed.from_first(lambda: settings.out or run.new_folder(self.name, self.data.name))
        facts = {
            "gansmith": __version__,
            "torch": str(torch.__version__),
            "device": str(self.device.torch_device),
            "precision": self.device.precision,
            "batch": self.batch,
            "processes": self.processes,
            "data": self.data.facts(),
            "spec": run.spec_to_plain(self.data.spec),
        }
        plain = config.to_plain(dataclasses.replace(settings, resume=False))
        made = Run(root, self.name, config.to_plain(family_config), plain, facts)
        if self.main:
            run.claim(root)
            made.write_config()
            made.write_skipped(self.data.skipped)
        return made

    def _check_same(self, found: Run, family_config: Any) -> None:
        plain = config.to_plain(family_config) | config.to_plain(self.settings)
        terms.check_same(found, self.name, self.data.hash, plain | {"precision": self.device.precision})
        before = found.facts.get("processes", 1)
        if before != self.processes:
            self._warn(
                f"{found.root} was trained by {before} process(es) and goes on with {self.processes}: the same game, but sums are "
                "rounded in another order, so it will not be the same bit for bit."
            )
            found.facts["processes"] = self.processes

    def _warn(self, message: str) -> None:
        if self.main:
            self.display.warn(message)

    def _go_on(self) -> str:
        return f"gansmith train --resume --out {self.run.root}" + (
            f" --processes {self.processes}" if self.processes > 1 else ""
        )

    def _restore(self) -> None:
        if not self.settings.resume:
            return
        tree = checkpoint.load(self.run.checkpoints, self._warn)
        if tree is None:
            if self.main:
                self.run.rewind(0)
            self._warn(f"{self.run.root} has no checkpoint yet: starting from the beginning.")
            return
        try:
            self.game.load_state_dict(tree["game"])
            self.average.game.load_state_dict(tree["average"])
            for player, optimizer in self.optimizers.items():
                engine.load_optimizer(optimizer, tree["optimizers"][player])
            self.state.load_state_dict(tree["state"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:  # whole, but of other networks
            raise RunError(
                f"The checkpoint in {self.run.checkpoints} is not of this run's networks ({first_line(error)}). It was changed, or "
                "written by another version of gansmith: go on with that one, or start a new run from its model with --init."
            ) from None
        self.state.clock.progress = self.goal.progress(self.state.clock.images, self.state.seconds)
        distributed.require_same("The checkpoint (images seen)", str(self.state.clock.images))
        if self.main:
            self.run.rewind(self.state.clock.images)

    def _compile(self) -> None:
        if self.settings.compile == "off":
            return
        if "compiled" not in self.run.facts:

            def choose() -> list[str]:
                with chance.alone():
                    return compiling.choose(self.game, self.batches, self.device, self.display.say)

            self.run.facts["compiled"] = distributed.from_first(choose)
            if self.main:
                self.run.write_config()
        compiling.compile_networks(self.game, self.run.facts["compiled"])

    def _announce(self) -> None:
        counts = ", ".join(
            f"{player} {sum(p.numel() for p in self.game.player_parameters(player)):,}" for player in self.game.players
        )
        start = f"from {self.state.clock.images:,} images" if self.state.clock.images else "from scratch"
        processes = f", {self.processes} processes" if self.processes > 1 else ""
        self.display.say(
            f"{self.name} on {self.data.describe()}\nweights: {counts}; {self.device}{processes}; {start}; run: {self.run.root}"
        )

    def tree(self) -> dict[str, Any]:
        """Everything a checkpoint holds."""
        return {
            "game": self.game.state_dict(),
            "average": self.average.game.state_dict(),
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self.optimizers.items()},
            "state": self.state.state_dict(),
        }

    def info(self) -> dict[str, Any]:
        """What a model says of where it comes from."""
        return {"images": self.state.clock.images, "data": self.data.facts(), "seed": self.settings.seed}


@contextmanager
def stop_on_signals(state: engine.State) -> Iterator[None]:
    """Ctrl-C and a polite kill finish the step and save; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if state.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        state.stop = True

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

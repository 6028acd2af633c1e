"""One run from settings to a finished folder: data, game, checkpoint, hooks, engine. The engine's only caller."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gansmith import config, devices, registry
from gansmith.config import TrainSettings
from gansmith.data.batches import Batches
from gansmith.data.training import TrainingData, open_training_data
from gansmith.errors import DataError, Diverged, RunError, apple_gpu_lacks, first_line
from gansmith.files import run
from gansmith.files.run import Run
from gansmith.game import Game
from gansmith.models.bundle import Model
from gansmith.parallel import layers, processes, seeding, seeds
from gansmith.training import compiling, engine, fine_tuning, hooks, memory, resuming, scaling, trackers
from gansmith.training import settings as run_settings
from gansmith.training.context import RunContext, farewell, go_on_command, introduction
from gansmith.training.display import Display
from gansmith.training.graphs import Graphs
from gansmith.training.outputs import Outputs
from gansmith.training.state import Plan, State
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
    config.validate(settings, seeds.process()[1])
    if settings.track != "none":
        trackers.check(settings.track)
    try:
        return Session(kind, name, settings, family_config, device, quiet).play()
    finally:
        processes.leave()


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
        self.kind, self.name, self.settings, self.device = kind, name, settings, device
        rank, self.processes = seeds.process()
        self.main = rank == 0
        self.display = Display(quiet or not self.main)
        parts = settings.accumulate, self.processes, kind.judged_together(family_config)
        self._check_before_data(parts)
        self.data = self._open_data(family_config)
        family_config, self.settled = self._settled(family_config)
        self.batch = run_settings.batch_of(kind, settings, self.data.spec)
        run_settings.check_divides(self.batch, *parts)
        self.goal = run_settings.goal_of(settings, self.batch)
        self.state = State(settings.seed)
        self.alone_images = 0
        self.game = self._build_game(family_config)
        # settings that do not fit have raised an error by now, and nothing is left behind
        self.run = self._claim_folder(self.game.config)
        devices.ready_to_train(self.game, self.device.torch_device)
        self.optimizers = engine.make_optimizers(self.game, self.device.torch_device)
        self.scalers = scaling.make_scalers(self.game.players, self.device) if self.device.precision == "fp16" else {}
        self.average = hooks.Average(self.game, self.batch)
        self.average.game.class_shares = self.data.class_shares()
        if self.processes > 1:
            layers.synchronise(self.game)  # the average is left out: only the first process uses it
        self.batches = self._make_batches()
        self._restore()
        if settings.compile != "off":
            compiling.settle(self.context(), self.batches, self._plan())

    def play(self) -> Finished:
        """Train to the goal, a signal or a divergence; save; report."""
        alone = int(self.run.facts.get("alone_images", 0))
        waiting = dict.fromkeys(fine_tuning.waiting_players(self.game), alone) if alone else {}
        recorded = self.run.facts.get("graphs") and self.device.torch_device.type == "cuda"
        graphs = Graphs(self.display.warn) if recorded else None
        plan = dataclasses.replace(self._plan(), waiting=waiting, graphs=graphs)
        for line in introduction(self.context(), self.processes, self.settled):
            self.display.say(line)
        with seeds.alone():
            outputs = Outputs(self.context())
        status, reason = "failed", ""
        try:
            with self._surroundings():
                outputs.begin()
                engine.train(
                    self.game, self.optimizers, self.batches, self.state, goal=self.goal, plan=plan, hooks=outputs.hooks
                )
                status = "finished" if self.state.clock.progress >= 1.0 else "stopped"
                with seeds.alone():
                    outputs.save_last(status)
        except KeyboardInterrupt:
            status = "stopped"
            raise
        except processes.LostProcess as error:
            status, reason = "stopped", str(error)
            raise RunError(f"{error} Go on from the last checkpoint with: {self._go_on()}") from None
        except (RuntimeError, TypeError) as error:
            if not memory.is_out_of_memory(error):
                lack = apple_gpu_lacks(error)
                status, reason = "failed", lack or first_line(error)
                if lack:
                    raise RunError(lack) from None
                raise
            traceback.clear_frames(error.__traceback__)  # what the failed step had made still fills the device
            status, reason = "stopped", memory.advice(self.game, self.optimizers, self.batches, self.state, plan)
            raise RunError(reason) from None
        except Exception as error:
            status, reason = "diverged" if isinstance(error, Diverged) else "failed", str(error) or type(error).__name__
            raise
        finally:
            outputs.close(status, reason)
        if status == "stopped":
            self.display.say(f"Stopped and saved. Go on with: {self._go_on()}")
        else:
            for line in farewell(self.context(), outputs.findings, outputs.records):
                self.display.say(line)
        model = Model(self.name, self.average.game.cpu(), self.context().info())
        return Finished(self.run, model, status == "stopped")

    # --- the parts ------------------------------------------------------------------------------------------------

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """What holds while turns are played: signals, the display, memory, algorithms."""
        device = self.device.torch_device
        calm = devices.deterministic(self.settings.deterministic)
        with (
            engine.stop_on_signals(self.state),
            self.display,
            devices.kept_memory(device),
            devices.fixed_shapes(device),
            calm,
        ):
            yield

    def context(self) -> RunContext:
        """The parts that the run's outputs read."""
        return RunContext(
            self.name, self.main, self.settings, self.device, self.data, self.run, self.state, self.game, self.average,
            self.optimizers, self.batch, self.display, self.scalers,
        )  # fmt: skip

    def _check_before_data(self, parts: tuple[int, int, int]) -> None:
        """What can be refused before the data are read, which may take minutes."""
        if self.settings.freeze_d:
            fine_tuning.check_freeze(self.settings)
        if self.settings.batch:
            run_settings.check_divides(self.settings.batch, *parts)
        if self.settings.out is not None and not self.settings.resume and self.main:
            run.check_free(self.settings.out)
        if self.settings.out is not None and self.settings.resume:
            run_settings.check_checkpoint(Run.open(self.settings.out))
        if (alone := processes.lonely()) is not None:
            self.display.warn(alone)

    def _open_data(self, family_config: Any) -> TrainingData:
        settings, started_in = self.settings, ""
        if settings.resume and settings.out is not None:
            settings, started_in = resuming.with_data_found(settings, Run.open(settings.out))
        with processes.first_goes_first():
            try:
                data = open_training_data(self.kind, settings, family_config, self._warn)
            except DataError as error:
                if not started_in or Path(started_in) == Path.cwd():
                    raise
                raise DataError(f"{error} The run was started in {started_in}, where relative paths began.") from None
        processes.require_same("The data", data.hash)
        return data

    def _settled(self, family_config: Any) -> tuple[Any, list[str]]:
        """The family's settings that were left to the data, as the data has them, and what to say of it."""
        if self.settings.resume and self.settings.out is not None:
            return run_settings.as_begun(family_config, Run.open(self.settings.out)), []
        if self.data.kinds:  # --kinds asks for classes, so the family learns them
            return dataclasses.replace(family_config, conditional=True), []
        return self.kind.settled(family_config, self.data.spec, self.data.class_counts())

    def _build_game(self, family_config: Any) -> Game:
        """The networks, seeded or taken from ``--init``, with all they need. Settles the precision where it is ``auto``."""
        model = None if self.settings.resume else self.settings.init
        if self.settings.init:
            family_config = fine_tuning.of_fine_tuning(family_config)
        torch.manual_seed(seeding.derive(self.settings.seed, "init"))
        game = self.kind(family_config, self.data.spec).to(self.device.torch_device)
        if model:
            self.alone_images = fine_tuning.begin(game, model, self.settings.freeze_d, self.display.say)
        if self.settings.freeze_d:
            fine_tuning.freeze_first_layers(game, self.settings.freeze_d)
        game.prepare()
        if self.settings.precision == "auto":
            self.device = devices.suited(self.device, game)
        return game

    def _make_batches(self) -> Batches:
        seed = seeding.derive(self.settings.seed, "data")
        device = self.device.torch_device
        damage = None if device.type == "cpu" else self.game.damage_on_cpu()
        return self.data.batches(self.batch, seed, device, self.game.convolutional, damage)

    def _claim_folder(self, family_config: Any) -> Run:
        settings = self.settings
        if settings.resume:
            if settings.out is None:
                raise RunError("--resume needs --out: the run folder to go on with. 'gansmith runs' lists them.")
            plan = resuming.Asked(self.kind, self.name, settings, family_config, self.device, self.processes)
            return resuming.found(plan, self.data.hash, self.main, self._warn)
        if few := self.data.check_enough():
            self._warn(few)
        root = processes.from_first(lambda: settings.out or run.new_folder(self.name, self.data.name))
        facts = {
            "gansmith": __version__,
            "torch": str(torch.__version__),
            "device": str(self.device.torch_device),
            "precision": self.device.precision,
            "batch": self.batch,
            "processes": self.processes,
            "data": self.data.facts(),
            "spec": run.spec_to_plain(self.data.spec),
            "started_in": str(Path.cwd()),
        }
        if self.alone_images:
            facts["alone_images"] = self.alone_images
        plain = config.to_plain(dataclasses.replace(settings, resume=False))
        made = Run(root, self.name, config.to_plain(family_config), plain, facts)
        if self.main:
            run.claim(root)
            made.write_config()
            made.write_skipped(self.data.skipped)
        return made

    def _warn(self, message: str) -> None:
        if self.main:
            self.display.warn(message)

    def _go_on(self) -> str:
        return go_on_command(self.run.root, self.processes)

    def _restore(self) -> None:
        if not self.settings.resume:
            return
        before = resuming.restore(self.context(), self._warn)
        if self.main:
            self.run.write_config()  # not before: a run that cannot go on stays as it was
        if before is None:
            return
        clock = self.state.clock
        clock.progress = self.goal.progress(clock.images, self.state.seconds)
        for line in resuming.said(self.game, before, clock, self.settings):
            self._warn(line)
        processes.require_same("The checkpoint (images seen)", str(clock.images))
        if self.main:
            self.run.rewind(clock.images)

    def _plan(self) -> Plan:
        return Plan(self.device, self.settings.accumulate, self.settings.clip_grad, scalers=self.scalers)

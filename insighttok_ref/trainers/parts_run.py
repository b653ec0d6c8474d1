"""One run of a trainer, whatever it trains: its parts in order, what is kept on disk, how it goes on after a stop."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from insighttok_ref.trainers.recipe_changes import changed, decisive
from insighttok_ref.trainers.tokenizer.checks import share_of
from insighttok_ref.trainers.tokenizer.plan import Part, Stretch
from insighttok_ref.trainers.tokenizer.progress import RunProgress
from insighttok_ref.training.checkpoint import Checkpoints, read_history
from insighttok_ref.training.engines import ComputeOptions, OptimizerOptions, deepspeed_config
from insighttok_ref.training.loggers import LogOptions, build_loggers
from insighttok_ref.training.metrics_log import MetricsLog
from insighttok_ref.training.profiler import StepProfiler
from insighttok_ref.training.stop import FiniteWatch, StoppedError, StopSignals
from insighttok_ref.training.threads import threads_for
from insighttok_ref.training.zero.library import import_deepspeed
from regionloss.data.batches import Share
from regionloss.errors import InputError, expected
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks, agree, barrier


class Options(Protocol):
    """What the options of all trainers have."""

    @property
    def optimizer(self) -> OptimizerOptions:
        """AdamW and clipping."""

    @property
    def engine(self) -> ComputeOptions:
        """Where and how to compute."""

    @property
    def log(self) -> LogOptions:
        """How often to write, and where to."""


class State(Protocol):
    """A part while it trains, as far as it is the same whatever is trained."""

    step: int
    seconds: float

    @property
    def part(self) -> Part[Stretch]:
        """The part that is trained."""

    @property
    def share(self) -> Share:
        """How a step's batch is cut."""

    @property
    def watch(self) -> FiniteWatch:
        """Stops at a value that is not finite."""

    @property
    def run_step(self) -> int:
        """Steps of the run before the next one."""


S = TypeVar("S", bound=State)
P = TypeVar("P", bound=Stretch)


class PartsRun(ABC, Generic[S, P]):
    """Trains the parts of a run that are not finished; what they are, and what is kept of them, subclasses say.

    Args:
        options: The options of the trainer.
        run: The recipe and where to write.
        ranks: This process among those of the run.
        parts: All parts of the run, in order.

    Raises:
        InputError: A batch does not divide; the folder holds another run; the run to go on from had another recipe.
        WeightsError: The newest checkpoint is damaged, or there is none.
    """

    def __init__(self, options: Options, run: TrainingRun, ranks: Ranks, parts: Sequence[Part[P]]) -> None:
        self.options, self.run, self.ranks, self.parts = options, run, ranks, parts
        self.resolved = run.resolved
        self.folder: Path = run.resume or run.out
        self.shares = {
            part.name: share_of(part, options.engine.micro_batch, ranks.rank, ranks.size) for part in self.parts
        }
        self.metrics = MetricsLog(self.folder / "metrics.jsonl")
        self.checkpoints = Checkpoints(
            self.folder / "checkpoints", options.log.keep, background=options.log.save_in_background
        )
        self.saved = self._earlier()
        decayed = self.saved.get("decayed", options.optimizer.decayed)
        self.optimizer = options.optimizer.model_copy(update={"decayed": decayed})
        self.finished: list[str] = list(self.saved.get("finished", []))
        self.todo = [part for part in self.parts if part.name not in self.finished]
        torch.set_num_threads(threads_for(options.engine.threads, self.saved.get("threads")))
        if options.engine.name == "deepspeed":
            import_deepspeed(ranks.device)
            for share in self.shares.values():  # a later phase cuts its batch otherwise
                deepspeed_config(options.optimizer, share, options.engine.zero_stage, options.engine.settings)
        self.progress = RunProgress(self.todo, quiet=not ranks.is_first)
        self.signals = StopSignals()
        watched = options.log.profile if ranks.is_first else None
        self.profiler = StepProfiler(watched, self.folder, self.progress.say)

    def train(self) -> None:
        """Train all parts.

        Raises:
            StoppedError: Ctrl-C or SIGTERM on any rank; the state is saved.
            TrainingError: A value is not finite.
        """
        if not self.todo:
            self.progress.say(f"{self.folder}: this run is trained to its end already")
            return
        going_on = self.saved["step"] if self.saved.get("part") else 0
        first_step = self.todo[0].first_step + going_on
        active = self.options.log if self.ranks.is_first else LogOptions(loggers=())
        self.loggers = build_loggers(active, self.folder, first_step, self.resolved)
        with self.signals, closing(self.loggers), closing(self.profiler), closing(self.checkpoints):
            for part in self.todo:
                state = self._begin(part)
                self.profiler.before(state.run_step)
                self.train_part(state)
                self._finish(state)

    @abstractmethod
    def begin(self, part: Part[P], going_on: bool) -> S:
        """Return the state at which a part begins; where it is going on, `go_on` then brings it to a checkpoint's."""

    @abstractmethod
    def go_on(self, state: S, saved: Mapping[str, Any], folder: Path) -> None:
        """Bring a part to where a checkpoint left it."""

    @abstractmethod
    def ready(self, state: S) -> None:
        """Look at a part that begins, or goes on, before its first step; every rank calls it."""

    @abstractmethod
    def train_part(self, state: S) -> None:
        """Do the steps of a part that are left, each followed by `_after_step`."""

    @abstractmethod
    def snapshot(self, state: S) -> dict[str, Any]:
        """Return what an exact continuation needs besides the ranks' own files."""

    @abstractmethod
    def shards(self, state: S) -> Mapping[str, Any]:
        """Return what engines and this rank need to go on: this rank's own files of a checkpoint, by name."""

    @abstractmethod
    def keep(self, state: S) -> None:
        """Write what a finished part has learnt; every rank calls it, and the first one writes."""

    def _earlier(self) -> dict[str, Any]:
        """The state to go on from; empty for a new run."""
        if self.run.resume is None:
            if self.metrics.path.exists() or self.checkpoints.all():
                advice = f"Choose another folder with --out, or go on with --resume {self.folder}."
                raise InputError(expected(str(self.folder), "a folder without a run", "one that holds a run", advice))
            return {}
        if self.run.out.resolve() != self.run.resume.resolve():
            advice = "A run goes on where it is; copy its folder first to keep both."
            raise InputError(expected("--out", f"{self.run.resume} as in --resume", str(self.run.out), advice))
        begun = self.metrics.path.exists() or (self.folder / "resolved.yaml").exists()
        if begun and not self.checkpoints.all():
            return {}  # stopped before its first checkpoint: it begins anew
        self.checkpoint = self.checkpoints.newest()
        state = read_history(self.checkpoint)
        before = json.loads(state["recipe"])
        if before != self._recipe() and (today := self.run.today(before)) is not before:
            before = decisive(today)
        if before != self._recipe():
            keys = ", ".join(changed(before, self._recipe()))
            advice = "Go on with the recipe it was begun with, or begin a new run."
            raise InputError(expected(str(self.folder), "a run of this recipe", f"one that differs in {keys}", advice))
        self._check_engine(state)
        return state

    def _check_engine(self, state: dict[str, Any]) -> None:
        """Optimizer states belong to an engine, and DeepSpeed's to a number of ranks where weights are whole."""
        now, before = self.options.engine.name, state["engine"]
        if not state["part"]:
            return
        if now != before:
            advice = f"Go on with trainer.options.engine.name={before}."
            raise InputError(expected(str(self.checkpoint), f"a state of the engine '{now}'", f"'{before}'s", advice))
        if (sharded := self.options.engine.sharded) != state["sharded"]:
            kinds = ("whole weights (zero_stage 0 to 2)", "shared weights (zero_stage 3)")
            advice = f"Go on with trainer.options.engine.zero_stage={'0, 1 or 2' if sharded else 3}."
            got = f"one of {kinds[not sharded]}"
            raise InputError(expected(str(self.checkpoint), f"a state of {kinds[sharded]}", got, advice))
        if now == "deepspeed" and not sharded and state["ranks"] != self.ranks.size:
            wanted = f"a state of {self.ranks.size} ranks"
            advice = f"Start {state['ranks']} processes: DeepSpeed has cut the optimizer's state into as many."
            raise InputError(expected(str(self.checkpoint), wanted, f"one of {state['ranks']}", advice))

    def _recipe(self) -> dict[str, Any]:
        return decisive(self.resolved["recipe"])

    def _begin(self, part: Part[P]) -> S:
        """Return the state at which a part begins, or goes on."""
        going_on = self.saved.get("part") == part.name
        state = self.begin(part, going_on)
        if going_on:
            self.go_on(state, self.saved, self.checkpoint)
            self.saved = {}
        if self.ranks.is_first:
            self.metrics.forget_after(set(self.finished), part.name, state.step)
        cut = f"{state.share.images} images x {state.share.accumulation} micro-batches x {self.ranks.size} ranks"
        self.progress.say(f"{part.name}: a batch of {state.share.batch_size} is {cut}")
        self.ready(state)
        return state

    def _after_step(self, state: S, record: dict[str, Tensor | float] | None) -> None:
        self.profiler.before(state.run_step)
        ends = state.step == state.part.phase.steps
        stopping = agree(self.signals.requested or self.checkpoints.failed)
        saving = stopping or (state.step % self.options.log.save_every == 0 and not ends)
        if record is not None or saving or ends:
            state.watch.check()
        loss = self._log(state, record) if record is not None and self.ranks.is_first else None
        self.progress.step(state.part, state.step, loss, images=state.share.batch_size)
        if saving:
            self.save(state)
        if stopping:
            self.checkpoints.finish()
            raise StoppedError(
                f"stopped after step {state.step} of {state.part.name}; its state is saved. "
                f"Go on with the same command and --resume {self.folder}"
            )

    def _log(self, state: S, record: dict[str, Tensor | float]) -> float:
        """Write a step's numbers; return its loss."""
        numbers = {name: float(value) for name, value in record.items()}
        self.metrics.write({"part": state.part.name, "step": state.step - 1, **numbers, "seconds": state.seconds})
        self.loggers.scalars(state.run_step - 1, numbers)
        return numbers["loss/total"]

    def save(self, state: S) -> None:
        """Save a checkpoint, once the one before is whole; every rank calls it."""
        self.checkpoints.save(state.run_step, {**self.snapshot(state), **self._history()}, self.shards(state))

    def _finish(self, state: S) -> None:
        self.finished.append(state.part.name)
        self.keep(state)
        barrier()
        self.checkpoints.save(state.run_step, {"part": "", **self._history()})
        self.checkpoints.finish()

    def _history(self) -> dict[str, Any]:
        """What every checkpoint holds beside its part's state."""
        return {
            "finished": list(self.finished),
            "recipe": json.dumps(self._recipe()),
            "engine": self.options.engine.name,
            "sharded": self.options.engine.sharded,
            "ranks": self.ranks.size,
            "decayed": self.optimizer.decayed,
            "threads": torch.get_num_threads(),
        }

    def advice(self) -> str:
        """Return the end of the sentence that reports a value that is not finite."""
        self.checkpoints.close()
        found = self.checkpoints.all()
        if not found:
            return "Nothing was saved yet. Try a smaller lr."
        return f"{found[-1]} holds the last good state. Try a smaller lr or smaller term weights."

"""One run of a trainer: its parts in order, what is kept on disk, and how it goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from insighttok_ref.data.build import TrainingData
from insighttok_ref.data.skipped_images import Told
from insighttok_ref.objective.perceptual import build_perceptual
from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.tokenizer.balance import equal_weights, gradient_norms
from insighttok_ref.trainers.tokenizer.checks import share_of
from insighttok_ref.trainers.tokenizer.loop import PartState, train_part
from insighttok_ref.trainers.tokenizer.part_state import PartFolder, begin, go_on, matching, snapshot, write_shards
from insighttok_ref.trainers.tokenizer.plan import Part, plan
from insighttok_ref.trainers.tokenizer.progress import RunProgress
from insighttok_ref.training.checkpoint import Checkpoints, read_history
from insighttok_ref.training.engines import import_deepspeed
from insighttok_ref.training.loggers import LogOptions, build_loggers
from insighttok_ref.training.metrics_log import ROOM, MetricsLog
from insighttok_ref.training.stop import StoppedError, StopSignals
from insighttok_ref.training.threads import threads_for
from regionloss.data.batches import BatchSource, Share
from regionloss.data.shards import write_whole
from regionloss.disk import to_disk
from regionloss.errors import InputError, WeightsError, expected
from regionloss.losses import told
from regionloss.pictures import sample_grid
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks, agree, barrier

if TYPE_CHECKING:
    from insighttok_ref.trainers.tokenizer.trainer import InsightTok

BALANCE_BATCHES = 4
WHERE = "A source of images takes them from the folder that its 'regions' names."
#: Options that decide no weight, by where they are.
PACE = {
    "": ("evaluation", "log"),
    "data": ("workers", "prefetch", "start_workers"),
    "model": ("checkpointing", "channels_last"),
}


class Session:
    """Trains the parts of a run that are not finished.

    Args:
        trainer: The options of the run.
        run: The recipe and where to write.
        ranks: This process among those of the run.
        open_data: Called when all else is known to fit: it may take hours.

    Raises:
        InputError: A batch does not divide; the folder holds another run; the run to go on from had another recipe.
        WeightsError: The newest checkpoint is damaged, or there is none.
    """

    def __init__(
        self, trainer: InsightTok, run: TrainingRun, ranks: Ranks, open_data: Callable[[], TrainingData]
    ) -> None:
        self.trainer, self.run, self.ranks = trainer, run, ranks
        self.resolved = run.resolved
        self.folder = run.resume or run.out
        self.parts = plan(trainer.phases, run.recipe.terms, run.recipe.seed)
        self.shares = {
            part.name: share_of(part, trainer.engine.micro_batch, ranks.rank, ranks.size) for part in self.parts
        }
        self.metrics = MetricsLog(self.folder / "metrics.jsonl")
        self.checkpoints = Checkpoints(self.folder / "checkpoints", trainer.log.keep)
        self.saved = self._earlier()
        self.finished: list[str] = list(self.saved.get("finished", []))
        self.todo = [part for part in self.parts if part.name not in self.finished]
        torch.set_num_threads(threads_for(trainer.engine.threads, self.saved.get("threads")))
        if trainer.engine.name == "deepspeed":
            import_deepspeed(ranks.device)
        self.terms = run.build_terms()
        use = trainer.objective.perceptual
        self.perceptual = build_perceptual(use.use, use.options) if use is not None else None
        if trainer.start_from is not None and not self.saved:
            with torch.device("meta"):
                matching(build_tokenizer(trainer.model), trainer.start_from)
        self.progress = RunProgress(self.todo, quiet=not ranks.is_first)
        self.signals = StopSignals()
        barrier()  # whoever begins to write now would make others think that a run is here
        self.data = open_data()

    def train(self) -> None:
        """Train all parts.

        Raises:
            StoppedError: Ctrl-C or SIGTERM on any rank; the state is saved.
            TrainingError: A value is not finite.
        """
        if not self.todo:
            return
        going_on = self.saved["step"] if self.saved.get("part") else 0
        first_step = self.todo[0].first_step + going_on
        active = self.trainer.log if self.ranks.is_first else LogOptions(loggers=())
        self.loggers = build_loggers(active, self.folder, first_step, self.resolved)
        with self.signals, closing(self.loggers):
            for part in self.todo:
                self._train(part)

    def _train(self, part: Part) -> None:
        state = self._begin(part)
        train_part(state, self.batches(part, state.share), self.trainer.log.every, self._after_step)
        self._finish(state)

    def batches(self, part: Part, share: Share) -> BatchSource:
        """Return a part's batches, for this rank."""
        return Told(self.data.batches(part.phase.data or None, seed=self.run.recipe.seed, **asdict(share)))

    def tokenizer(self, part: str) -> Tokenizer:
        """Return the tokenizer that a finished part gave."""
        return load_tokenizer(PartFolder(self.folder, part).tokenizer).to(self.ranks.device)

    def export(self, path: Path) -> None:
        """Write the run's tokenizer, that of its last part.

        Raises:
            WeightsError: What the part has left is not there.
        """
        last = PartFolder(self.folder, self.parts[-1].name).tokenizer
        if not last.is_file():
            advice = "Bring it back from a copy of the run, or begin anew."
            raise WeightsError(expected(str(last), "the tokenizer of a finished part", "no file", advice))
        write_whole(str(path), last.read_bytes())

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
        if before != self._recipe():
            keys = ", ".join(changed(before, self._recipe()))
            advice = "Go on with the recipe it was begun with, or begin a new run."
            raise InputError(expected(str(self.folder), "a run of this recipe", f"one that differs in {keys}", advice))
        self._check_engine(state)
        return state

    def _check_engine(self, state: dict[str, Any]) -> None:
        """Optimizer states belong to an engine, and DeepSpeed's to a number of ranks."""
        now, before = self.trainer.engine.name, state["engine"]
        if state["part"] and now != before:
            advice = f"Go on with trainer.options.engine.name={before}."
            raise InputError(expected(str(self.checkpoint), f"a state of the engine '{now}'", f"'{before}'s", advice))
        if state["part"] and now == "deepspeed" and state["ranks"] != self.ranks.size:
            wanted = f"a state of {self.ranks.size} ranks"
            advice = f"Start {state['ranks']} processes: DeepSpeed has cut the optimizer's state into as many."
            raise InputError(expected(str(self.checkpoint), wanted, f"one of {state['ranks']}", advice))

    def _recipe(self) -> dict[str, Any]:
        """What decides the weights: where and how fast it computes, and what it reports, may change after a stop."""
        recipe: dict[str, Any] = json.loads(json.dumps(self.resolved["recipe"]))
        options = recipe["trainer"]["options"]
        for place, names in PACE.items():
            for name in names:
                (options.get(place) or {} if place else options).pop(name, None)
        options["engine"] = {"precision": self.trainer.engine.precision}
        return recipe

    def _begin(self, part: Part) -> PartState:
        """Return the state at which a part begins, or goes on."""
        going_on = self.saved.get("part") == part.name
        # What it started from may be gone by now, and is not needed.
        state = begin(self, part, None if going_on else self.trainer.start_from)
        if going_on:
            go_on(state, self.saved, self.checkpoint)
            self.saved = {}
        if self.ranks.is_first:
            self.metrics.forget_after(set(self.finished), part.name, state.step)
        cut = f"{state.share.images} images x {state.share.accumulation} micro-batches x {self.ranks.size} ranks"
        self.progress.say(f"{part.name}: a batch of {state.share.batch_size} is {cut}")
        if state.step == 0 and part.terms and state.model.last_layer.requires_grad:
            self._say_balance(state)
        return state

    def _say_balance(self, state: PartState) -> None:
        """Log how strongly each term pulls at the start: who changes the data sees which weights would be equal."""
        part = state.part
        batches = self.batches(part, state.share).starting_at(state.first_micro_batch)
        norms = gradient_norms(state, islice(batches, BALANCE_BATCHES))
        if not self.ranks.is_first:
            return
        self.metrics.write({"part": part.name, "step": 0, **{f"gradient_at_start/{k}": v for k, v in norms.items()}})
        for name, weight in equal_weights(norms).items():
            used = part.phase.term_weights.get(name, self.terms[name].weight)
            said = f"has weight {told(used)}; equal gradients at {weight:.3g}"
            if used and not norms[name]:
                kind = self.terms[name].kind
                said = f"met no region of kind '{kind}' in {BALANCE_BATCHES} batches. Should there be some? {WHERE}"
            self.progress.say(f"{part.name}: term '{name}' {said}")

    def _after_step(self, state: PartState, record: dict[str, Tensor | float] | None) -> None:
        ends = state.step == state.part.phase.steps
        stopping = agree(self.signals.requested)
        saving = stopping or (state.step % self.trainer.log.save_every == 0 and not ends)
        if record is not None or saving or ends:
            state.watch.check()
        loss = self._log(state, record) if record is not None and self.ranks.is_first else None
        self.progress.step(state.part, state.step, loss, images=state.share.batch_size)
        if saving:
            self.save(state)
        if stopping:
            raise StoppedError(
                f"stopped after step {state.step} of {state.part.name}; its state is saved. "
                f"Go on with the same command and --resume {self.folder}"
            )

    def _log(self, state: PartState, record: dict[str, Tensor | float]) -> float:
        """Write a step's numbers, and now and then a picture; return its loss."""
        numbers = {name: float(value) for name, value in record.items()}
        self.metrics.write({"part": state.part.name, "step": state.step - 1, **numbers, "seconds": state.seconds})
        self.loggers.scalars(state.run_step - 1, numbers)
        log = self.trainer.log
        if state.shown is not None and (state.step - 1) // log.images_every != state.pictured:
            state.pictured = (state.step - 1) // log.images_every
            self.loggers.image(state.run_step - 1, state.part.name, partial(sample_grid, *state.shown, most=log.images))
        return numbers["loss/total"]

    def save(self, state: PartState) -> None:
        """Write a checkpoint; every rank calls it."""
        self.checkpoints.save(
            state.run_step, {**snapshot(state), **self._history()}, lambda folder: write_shards(state, folder)
        )

    def _finish(self, state: PartState) -> None:
        self.finished.append(state.part.name)
        if self.ranks.is_first:
            folder = PartFolder(self.folder, state.part.name)
            with to_disk(folder.path, ROOM):
                folder.write(state)
                text = json.dumps(self.resolved, indent=1) + "\n"
                write_whole(str(folder.path / "resolved.json"), text.encode())
        barrier()
        self.checkpoints.save(state.run_step, {"part": "", **self._history()})

    def _history(self) -> dict[str, Any]:
        """What every checkpoint holds beside its part's state."""
        return {
            "finished": list(self.finished),
            "recipe": json.dumps(self._recipe()),
            "engine": self.trainer.engine.name,
            "ranks": self.ranks.size,
            "threads": torch.get_num_threads(),
        }

    def advice(self) -> str:
        """Return the end of the sentence that reports a value that is not finite."""
        found = self.checkpoints.all()
        if not found:
            return "Nothing was saved yet. Try a smaller lr."
        return f"{found[-1]} holds the last good state. Try a smaller lr or smaller term weights."


def changed(before: Any, now: Any, path: str = "") -> list[str]:
    """Return the paths of keys at which two recipes differ, the first five."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        found = [p for key in keys for p in changed(before.get(key), now.get(key), f"{path}.{key}" if path else key)]
        return list(islice(found, 5))
    return [] if before == now else [path]

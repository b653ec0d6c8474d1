"""One run of a trainer: its parts in order, what is kept on disk, and how it goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from insighttok_ref.objective.objective import Objective
from insighttok_ref.tokenizer.model import InsightTokenizer
from insighttok_ref.training.balance import equal_weights, gradient_norms
from insighttok_ref.training.checkpoint import load_state, load_tokenizer, save_state, save_tokenizer
from insighttok_ref.training.engines import PlainEngine
from insighttok_ref.training.log import MetricsLog
from insighttok_ref.training.loop import PartState, Source, train_part
from insighttok_ref.training.options import build_tokenizer
from insighttok_ref.training.plan import Part, plan
from insighttok_ref.training.progress import RunProgress
from insighttok_ref.training.stopping import StoppedError, StopSignals
from regionloss.errors import InputError, expected
from regionloss.losses.terms import LossTerms

if TYPE_CHECKING:
    from insighttok_ref.training.comparison import Comparison
    from regionloss.recipe import TrainingRun

BALANCE_BATCHES = 4


class Session:
    """Trains the parts of a run that are not finished.

    Args:
        trainer: Options.
        run: The recipe and where to write.
        batches: Training data by batch size.
        afterwards: Seconds that what follows training is thought to take, for the time left.

    Raises:
        InputError: The folder holds another run, or the run to go on from had another recipe.
    """

    def __init__(
        self, trainer: Comparison, run: TrainingRun, batches: Callable[[int], Source], afterwards: float = 0.0
    ) -> None:
        self.trainer, self.run, self.batches = trainer, run, batches
        self.resolved = run.resolved
        self.folder = run.resume or run.out
        self.state_file = self.folder / "state.pt"
        self.terms = run.build_terms()
        self.parts = plan(trainer.phases, run.recipe.terms, run.recipe.seed)
        self.log = MetricsLog(self.folder / "metrics.jsonl")
        self.saved = self._earlier()
        self.finished: list[str] = list(self.saved.get("finished", []))
        self.todo = [part for part in self.parts if part.name not in self.finished]
        self.progress = RunProgress(self.todo, afterwards)
        self.signals = StopSignals()

    def train(self) -> None:
        """Train all parts.

        Raises:
            StoppedError: Ctrl-C or SIGTERM; the state is saved.
            TrainingError: A loss is not finite.
        """
        with self.signals:
            for part in self.todo:
                state = self._begin(part)
                train_part(
                    state, self.batches(part.phase.batch_size), self.trainer.log.every, self._after_step, self._advice()
                )
                self._finish(state)

    def tokenizer(self, part: str) -> InsightTokenizer:
        """Return the tokenizer that a finished part gave."""
        return load_tokenizer(self.tokenizer_file(part)).to(self.trainer.engine.device)

    def tokenizer_file(self, part: str) -> Path:
        """Return where a part's tokenizer lies."""
        return self.folder / part / "tokenizer.safetensors"

    def _earlier(self) -> dict[str, Any]:
        """The state to go on from; empty for a new run."""
        if self.run.resume is None:
            if self.log.path.exists() or self.state_file.exists():
                advice = f"Choose another folder with --out, or go on with --resume {self.folder}."
                raise InputError(expected(str(self.folder), "a folder without a run", "one that holds a run", advice))
            return {}
        if self.run.out.resolve() != self.run.resume.resolve():
            advice = "A run goes on where it is; copy its folder first to keep both."
            raise InputError(expected("--out", f"{self.run.resume} as in --resume", str(self.run.out), advice))
        state = load_state(self.state_file)
        before = json.loads(state["recipe"])
        if before != self._recipe():
            keys = ", ".join(changed(before, self._recipe()))
            advice = "Go on with the recipe it was begun with, or begin a new run."
            raise InputError(expected(str(self.folder), "a run of this recipe", f"one that differs in {keys}", advice))
        return state

    def _recipe(self) -> dict[str, Any]:
        """What decides the weights: a report may change after a stop."""
        recipe: dict[str, Any] = json.loads(json.dumps(self.resolved["recipe"]))
        for name in ("evaluation", "log"):
            recipe["trainer"]["options"].pop(name, None)
        return recipe

    def _begin(self, part: Part) -> PartState:
        """Return the state at which a part begins, or goes on."""
        torch.manual_seed(part.seed)
        model = build_tokenizer(self.trainer.model)
        if part.starts_from:
            model.load_state_dict(load_tokenizer(self.tokenizer_file(part.starts_from)).state_dict())
        model.to(self.trainer.engine.device).set_trainable(part.phase.train)
        active, watched = self._split_terms(part)
        objective = Objective(self.trainer.objective, active, watched)
        state = PartState(part, model, PlainEngine(model, self.trainer.optimizer), objective)
        if self.saved.get("part") == part.name:
            state.load_state_dict(self.saved)
        self.log.forget_after(set(self.finished), part.name, state.step)
        if state.step == 0 and part.terms:
            self._say_balance(part, model)
        return state

    def _split_terms(self, part: Part) -> tuple[LossTerms, LossTerms]:
        active = {name: self.terms[name] for name in part.terms}
        watched = {name: self.terms[name] for name in self.terms.terms if name not in part.terms}
        return LossTerms(active), LossTerms(watched)

    def _say_balance(self, part: Part, model: InsightTokenizer) -> None:
        """Log how strongly each term pulls at the start: who changes the data sees which weights would be equal."""
        source = self.batches(part.phase.batch_size)
        batches = (source.batch(part.first_batch + step) for step in range(BALANCE_BATCHES))
        norms = gradient_norms(model, self.trainer.objective, self._split_terms(part)[0], batches)
        self.log.write({"part": part.name, "step": 0, **{f"gradient_at_start/{k}": v for k, v in norms.items()}})
        for name, weight in equal_weights(norms).items():
            used = self.terms[name].weight
            self.progress.say(f"{part.name}: term '{name}' has weight {used:g}; equal gradients at {weight:.3g}")

    def _after_step(self, state: PartState, record: dict[str, Tensor | float] | None) -> bool:
        ends = state.step == state.part.phase.steps
        loss = None
        if record is not None:
            numbers = {name: float(value) for name, value in record.items()}
            loss = numbers["loss/total"]
            head = {"part": state.part.name, "step": state.step - 1}
            self.log.write({**head, **numbers, "seconds": state.seconds})
        self.progress.step(state.part, state.step, loss)
        if self.signals.requested or (state.step % self.trainer.log.save_every == 0 and not ends):
            self.save(state)
        if self.signals.requested:
            raise StoppedError(
                f"stopped after step {state.step} of {state.part.name}; its state is saved. "
                f"Go on with the same command and --resume {self.folder}"
            )
        return True

    def save(self, state: PartState) -> None:
        """Write the state to go on from, and beside it what made it."""
        save_state({**state.state_dict(), **self._history()}, self.state_file)

    def _finish(self, state: PartState) -> None:
        path = self.tokenizer_file(state.part.name)
        save_tokenizer(state.model, path)
        (path.parent / "resolved.json").write_text(json.dumps(self.resolved, indent=1) + "\n", encoding="utf-8")
        self.finished.append(state.part.name)
        save_state({"part": "", **self._history()}, self.state_file)

    def _history(self) -> dict[str, Any]:
        return {"finished": list(self.finished), "recipe": json.dumps(self._recipe())}

    def _advice(self) -> str:
        if not self.state_file.is_file():
            return "Nothing was saved yet. Try a smaller lr."
        return f"{self.state_file} holds the last good state. Try a smaller lr or smaller term weights."


def changed(before: Any, now: Any, path: str = "") -> list[str]:
    """Return the paths of keys at which two recipes differ, the first five."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        found = [p for key in keys for p in changed(before.get(key), now.get(key), f"{path}.{key}" if path else key)]
        return list(islice(found, 5))
    return [] if before == now else [path]

"""A run of the trainer `finetune`: one autoencoder, one part, and weights of terms that are found at its start."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from insighttok_ref.tokenizers.insighttok.autoencoder import with_residual
from insighttok_ref.trainers.finetune.calibration import MOST, calibrated, shares_of
from insighttok_ref.trainers.finetune.pictures import Looked
from insighttok_ref.trainers.finetune.trainee import Tuned
from insighttok_ref.trainers.finetune.trainer import SHARE, Finetune
from insighttok_ref.trainers.tokenizer.loop import PartState
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.trainers.tokenizer.progress import minutes
from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.metrics_log import ROOM
from regionloss.autoencoders import TrainableAutoencoder, add_lora, merged, open_trainable, step_memory
from regionloss.console import counted
from regionloss.disk import to_disk
from regionloss.errors import InputError, UnknownNameError, WeightsError, expected
from regionloss.hooks.catalogue import Catalogue
from regionloss.losses import told
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks

#: Folder of a run in which the autoencoder lies by itself; its files stand beside it, too.
RESULT = "autoencoder"
GIB = 2**30
#: What a user calls the autoencoder that is tuned, and the recipes for the two sorts.
KEY, TOKENIZER, VAE = "model.from", "finetune-tokenizer", "finetune-vae"
Say = Callable[[str], None]
#: Steps after which the pace is told.
FIRST_STEPS = 10
CHANGES = "The encoder, or its codes, learn too: latents change, and what was trained on the old ones no longer fits."


class FinetuneSession(Session):
    """Tunes one autoencoder.

    Args:
        trainer: The options of the run.
        run: The recipe and where to write.
        ranks: This process among those of the run.
        look: Looks at the images, when all else is known to fit, and tells of it: it may take hours.
    """

    trainer: Finetune
    finds_weights = True

    def __init__(self, trainer: Finetune, run: TrainingRun, ranks: Ranks, look: Callable[[Say], Looked]) -> None:
        def open_data() -> Any:
            for note in self.notes:
                self.progress.say(note)
            self.looked = look(self.progress.say)
            return self.looked.data

        super().__init__(trainer, run, ranks, open_data)

    def check_start(self) -> None:
        """Read the autoencoder, and see that what is asked of it can be done."""
        self.found: dict[str, float] = dict(self.saved.get("found_weights", {}))
        auto = [name for name, use in self.run.recipe.terms.items() if use.weight == "auto"]
        self.wanted = shares_of(self.trainer.share, auto, SHARE)
        found = read_source(self.trainer, self.ranks.device, self.run.loaded.catalogue)
        self.autoencoder = found if self.trainer.model.adapter is None else with_residual(found)
        before = self.saved.get("weights_sha256", self.autoencoder.weights_sha256)
        if before != self.autoencoder.weights_sha256:
            advice = "Bring back the file that the run was begun with."
            raise InputError(expected(str(self.trainer.source), f"weights of SHA-256 {before[:12]}", "others", advice))
        check_size(self.autoencoder, self.trainer.data.image_size)
        choose(self.autoencoder, self.trainer)
        if self.trainer.model.low_rank is not None:
            self.adapt(copy.deepcopy(self.autoencoder))  # what it refuses is said before images are looked at
        self.notes = [str(note) for note in self.autoencoder.facts.get("notes", ())]  # type: ignore[attr-defined]
        if not self.autoencoder.set_checkpointing(self.trainer.model.checkpointing):
            self.notes.append("model.checkpointing: this autoencoder cannot compute its activations again.")
        if not Tuned(self.autoencoder).encodes_alike:
            self.notes.append(CHANGES)
        self.notes += other_recipe(self.autoencoder, self.run.loaded.source.name)

    def open(self, path: Path) -> TrainableAutoencoder:
        """Return an autoencoder on this process's device."""
        return open_trainable(path, self.ranks.device, self.trainer.model.options, self.run.loaded.catalogue)

    def build(self, part: Part, going_on: bool) -> Tuned:
        """Return the autoencoder with the weights of its file; a run that goes on loads its own over them."""
        self.adapt(self.autoencoder)
        return Tuned(self.autoencoder)

    def adapt(self, autoencoder: TrainableAutoencoder) -> None:
        """Give an autoencoder the low-rank matrices that learn, if any."""
        if (lora := self.trainer.model.low_rank) is not None:
            add_lora(autoencoder, self.trainer.model.train, lora.rank, lora.alpha)

    def ready(self, state: PartState) -> None:
        """Find the weights of terms before the first step, and print the plan."""
        objective = state.objective
        kinds = {name: term.kind for name, term in (objective.terms.terms if objective.terms else {}).items()}
        if not self.found and self.wanted:
            self.found = self._found(state)
        objective.reweigh(self.found)
        for line in self._plan(state, kinds):
            self.progress.say(line)

    def _found(self, state: PartState) -> dict[str, float]:
        batches = self.batches(state.part, state.share).starting_at(state.first_micro_batch)
        learns = state.model.last_layer.requires_grad
        state.model.last_layer.requires_grad_(True)  # a place to measure at, even where only other blocks learn
        found = calibrated(state, islice(batches, MOST), self.wanted)
        state.model.last_layer.requires_grad_(learns)
        if self.ranks.is_first:
            self.metrics.write({"part": state.part.name, "step": 0, **{f"weight/{k}": v for k, v in found.items()}})
        return found

    def _plan(self, state: PartState, kinds: dict[str, str]) -> list[str]:
        learning = sum(one.numel() for one in self.autoencoder.module.parameters() if one.requires_grad)
        every = sum(one.numel() for one in self.autoencoder.module.parameters())
        lora = self.trainer.model.low_rank
        learns = ", ".join(self.trainer.model.train) + (f" by matrices of rank {lora.rank}" if lora else "")
        if self.trainer.model.adapter is not None:
            learns = "a second codebook under the same ids, and a residual decoder"
        lines = [f"model: {described(self.autoencoder)}"]
        lines += [f"learns: {learns} ({learning / 1e6:.3g} of {every / 1e6:.3g} million weights)"]
        lines += [f"term '{name}': {self._of_term(name, kind)}" for name, kind in kinds.items()]
        return [*lines, self._memory(state)]

    def _of_term(self, name: str, kind: str) -> str:
        """What the plan says of one term."""
        count, weight = self.looked.regions[kind], self.found.get(name, self.terms[name].weight)
        if not weight and name in self.wanted:
            where = f"{MOST} batches, and {count} in all" if count else f"{self.looked.pictures} images"
            return f"left out, since there is no region of kind '{kind}' in {where}"
        how = f"{self.wanted[name]:.0%} of the gradient" if name in self.wanted else "as given"
        seen = "" if kind == "whole_image" else f", {counted(count, 'region')} of kind '{kind}'"
        return f"weight {told(weight) if callable(weight) else format(weight, '.3g')} ({how}){seen}"

    def _memory(self, state: PartState) -> str:
        """The sentence on what a step takes, calculated and not measured."""
        trainer, images = self.trainer, state.share.images
        where = f"{images} images of {trainer.data.image_size} x {trainer.data.image_size} at a time"
        options = trainer.model.train, state.bf16, trainer.model.checkpointing
        try:
            step = step_memory(self.autoencoder, trainer.data.image_size, images, *options)
        except (RuntimeError, NotImplementedError):  # a layer that has no shape without values
            return f"memory: not known beforehand, for {where}"
        averaged = step.weights if state.average is not None else 0
        return f"memory: {(step.total + averaged) / GIB:.2g} GiB at {where}, and the networks of the losses"

    def _after_step(self, state: PartState, record: dict[str, Tensor | float] | None) -> None:
        super()._after_step(state, record)
        if state.step == FIRST_STEPS:
            pace = state.share.batch_size * state.step / max(state.seconds, 1e-9)
            left = minutes(self.progress.left.seconds(state.part, state.step))
            device = self.ranks.device
            peak = f", {torch.cuda.max_memory_allocated(device) / GIB:.2g} GiB" if device.type == "cuda" else ""
            self.progress.say(f"the first {FIRST_STEPS} steps: {pace:.3g} images/s{peak}; about {left} left")

    def _history(self) -> dict[str, Any]:
        """What every checkpoint holds beside its part's state: the weights that were found, too."""
        found = {"found_weights": self.found, "weights_sha256": self.autoencoder.weights_sha256}
        return {**super()._history(), **found}

    def keep(self, state: PartState) -> None:
        """Write the autoencoder as whoever wrote the original has it, averaged where an average is kept."""
        if not self.ranks.is_first:
            return
        model = state.average.model if state.average is not None else state.model
        assert isinstance(model, Tuned)
        result = self.folder / RESULT
        with to_disk(result, ROOM):
            shutil.rmtree(result, ignore_errors=True)  # of a run that was killed here
            merged(model.autoencoder).save(result)
            for file in sorted(result.iterdir()):
                beside(file, self.folder / file.name)


def read_source(trainer: Finetune, device: torch.device, where: Catalogue) -> TrainableAutoencoder:
    """Return the autoencoder that is tuned, on a device.

    Raises:
        InputError: There is none, or none that can be trained.
        WeightsError: It is missing or damaged. Both say that it is `model.from` which is wrong.
    """
    try:
        return open_trainable(trainer.source, device, trainer.model.options, where, key=KEY)
    except (InputError, WeightsError) as error:
        raise type(error)(f"{KEY}: {str(error).removeprefix(f'{KEY}: ')}") from error


def choose(autoencoder: TrainableAutoencoder, trainer: Finetune) -> None:
    """Let the parts learn that are asked for. Raises InputError or UnknownNameError, of `model.train`."""
    try:
        autoencoder.set_trainable(trainer.model.train)
    except (InputError, UnknownNameError) as error:
        raise type(error)(f"model.train: {error}") from error


def described(autoencoder: TrainableAutoencoder) -> str:
    """Return what an autoencoder is, in a few words."""
    facts, codes = autoencoder.facts, autoencoder.codebook_size
    kind = facts.get("class", f"a tokenizer of the kind '{facts.get('kind', type(autoencoder).__name__)}'")
    return f"{kind}, {f'{codes} codes' if codes is not None else 'continuous latents'}"


def other_recipe(autoencoder: TrainableAutoencoder, recipe: str) -> list[str]:
    """Return a sentence where a recipe of ours is run on an autoencoder that the other one is meant for."""
    meant = TOKENIZER if autoencoder.codebook_size is not None else VAE
    if Path(recipe).stem not in {TOKENIZER, VAE} - {meant}:
        return []
    return [f"This is {described(autoencoder)}: it works so, too, but '{meant}' is the recipe that is meant for it."]


def beside(file: Path, place: Path) -> None:
    """Let a file stand in a second place, as one file where the disk can."""
    place.unlink(missing_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def check_size(autoencoder: TrainableAutoencoder, size: int) -> None:
    """Raise InputError for crops that an autoencoder does not take."""
    side, multiple = autoencoder.side, autoencoder.multiple
    if side is not None and size != side:
        raise InputError(expected("data.image_size", f"{side}, the one size it takes", str(size)))
    if size % multiple:
        near = max(multiple, round(size / multiple) * multiple)
        raise InputError(expected("data.image_size", f"a multiple of {multiple}", str(size), f"Say {near}."))


@torch.no_grad()
def latents(autoencoder: TrainableAutoencoder, images: Tensor, batch_size: int, ids: bool = False) -> list[Tensor]:
    """Return what an autoencoder encodes images to, on the CPU: its latents and ids, or its ids alone."""
    device, found = autoencoder.last_layer.device, []
    for part in images.split(batch_size):
        encoded = autoencoder.encode(part.to(device))
        found += [one.cpu() for one in ((encoded.ids,) if ids else encoded) if one is not None]
    return found

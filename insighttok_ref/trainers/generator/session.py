"""A run of the trainer `insightar`: one generator, phase after phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from insighttok_ref.generator.checkpoints import HANDED_ON, LoadedGenerator, built, save_generator, stored
from insighttok_ref.generator.llama_start import LlamaStart
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.trainers.generator.loop import GeneratorState, check_room, held_out_loss, train_part
from insighttok_ref.trainers.generator.options import GeneratorOptions, GeneratorPhase
from insighttok_ref.trainers.generator.token_batches import TokenBatch, TokenData
from insighttok_ref.trainers.generator.trainer import GeneratorTrainer
from insighttok_ref.trainers.parts_run import PartsRun
from insighttok_ref.trainers.tokenizer.part_state import random_file, random_state, set_random_state
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.checkpoint import STATE, WHAT, read_saved
from insighttok_ref.training.engines import build_engine
from insighttok_ref.training.metrics_log import ROOM
from insighttok_ref.training.stop import FiniteWatch
from regionloss.disk import to_disk, whole
from regionloss.errors import InputError, expected
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks, barrier, rank_and_size
from regionloss.weights import read_safetensors, readable


class GeneratorSession(PartsRun[GeneratorState, GeneratorPhase]):
    """Trains one generator.

    Args:
        trainer: The options of the run.
        run: The recipe and where to write.
        ranks: This process among those of the run.

    Raises:
        InputError: Tokens of another tokenizer; captions that leave no room; what any run refuses.
        WeightsError: The tokenizer, or a checkpoint, is missing or damaged.
    """

    def __init__(self, trainer: GeneratorTrainer, run: TrainingRun, ranks: Ranks) -> None:
        self.trainer = trainer
        super().__init__(trainer, run, ranks, parts_of(trainer.phases, run.recipe.seed))
        data, self.start = trainer.data, start_of(trainer.model)
        self.tokenizer = read_tokenizer(data.tokenizer).model
        self.form = self.start.form if self.start else form_of(trainer.model)
        self.data = TokenData(
            data.sources, self.tokenizer.fingerprint, self.form, data.caption_dropout, run.recipe.seed
        )
        self._check_same_tokens()
        with torch.device("meta"):
            model = self.new_model()
        self._check_fit(model)
        barrier()  # whoever begins to write now would make others think that a run is here

    def new_model(self) -> InsightAR:
        """Return a model with weights that are not trained."""
        options = self.trainer.model
        if self.start is not None:
            return InsightAR.for_codebook(self.start.shape, self.tokenizer.codebook)
        return InsightAR.from_preset(options.preset, self.tokenizer.codebook, **options.shape)

    def _check_same_tokens(self) -> None:
        """Raise InputError where a run would go on with other images: their order would be another one."""
        before = self.saved.get("images", self.data.images)
        if before != self.data.images:
            advice = "Bring back the tokens that the run was begun with, or begin a new run."
            raise InputError(expected("data.sources", f"{before} images", f"{self.data.images}", advice))

    def _check_fit(self, model: InsightAR) -> None:
        prompts = self.form.encode([self.data.longest])
        check_room(model, TokenBatch(prompts, torch.empty(1, self.data.header.tokens)))
        known, have = model.language_model.config.vocab_size, self.form.rows
        if have > known:
            advice = f"Say model.shape.vocab_size={have}."
            raise InputError(expected("model.text", f"at most {known} text tokens, as the model", str(have), advice))

    def begin(self, part: Part[GeneratorPhase], going_on: bool) -> GeneratorState:
        """Return the state at which a part begins."""
        options, device = self.trainer.engine, self.ranks.device
        torch.manual_seed(part.seed)
        model = self.new_model()
        if part.starts_from and not going_on:
            file = self.folder / part.starts_from / HANDED_ON
            model = built(model.config, read_safetensors(file, "the weights of a phase")[0], str(file))
        elif self.start is not None and not going_on:
            model.load_state_dict(self.start.tensors(), strict=False)
        set_trainable(model.to(device), part.phase.train)
        if self.trainer.model.checkpointing:
            compute_again(model)
        share = self.shares[part.name]
        engine = build_engine(
            options.name, model, self.trainer.optimizer, share, key="generator-engine", zero_stage=options.zero_stage
        )
        torch.manual_seed(part.seed + self.ranks.rank)
        watch = FiniteWatch(device, self.advice)
        return GeneratorState(part, share, model, engine, watch, options.precision == "bf16")

    def go_on(self, state: GeneratorState, saved: Mapping[str, Any], folder: Path) -> None:
        """Bring a part to where a checkpoint left it."""
        with readable(folder / STATE, WHAT):
            state.step, state.seconds = int(saved["step"]), float(saved["seconds"])
            state.engine.load(folder)
            state.model.load_state_dict(saved["model"])
        mine = folder / random_file(rank_and_size()[0])
        if mine.is_file():  # a rank more than before draws on from its seed
            with readable(mine, WHAT):
                set_random_state(read_saved(mine))

    def ready(self, state: GeneratorState) -> None:
        """Say what learns."""
        learning = sum(one.numel() for one in state.model.parameters() if one.requires_grad)
        every = sum(one.numel() for one in state.model.parameters())
        parts = ", ".join(state.part.phase.train)
        self.progress.say(f"learns: {parts} ({learning / 1e6:.3g} of {every / 1e6:.3g} million weights)")

    def train_part(self, state: GeneratorState) -> None:
        """Do the steps of a part that are left."""
        before = [part.phase for part in self.parts[: self.parts.index(state.part)]]
        seen = sum(phase.steps * phase.batch_size for phase in before)
        batches = self.data.starting_at(state.step * state.share.accumulation, state.share, seen)
        train_part(state, batches, self.trainer.log.every, self._after_step)

    def snapshot(self, state: GeneratorState) -> dict[str, Any]:
        """Return what an exact continuation needs besides what engines and ranks write themselves."""
        return {
            "part": state.part.name,
            "step": state.step,
            "seconds": state.seconds,
            "model": state.model.state_dict(),
        }

    def write_shards(self, state: GeneratorState, folder: Path) -> None:
        """Write what the engine and this rank need to go on."""
        torch.save(random_state(), folder / random_file(rank_and_size()[0]))
        state.engine.save(folder)

    def _history(self) -> dict[str, Any]:
        """What every checkpoint holds beside its part's state: how many images there were, too."""
        return {**super()._history(), "images": self.data.images}

    def keep(self, state: GeneratorState) -> None:
        """Measure on the images of the test; write what a part has learnt: of the last one, the generator."""
        self.measure(state)
        if state.part is not self.parts[-1]:
            folder = self.folder / state.part.name
            with to_disk(folder, ROOM):
                folder.mkdir(exist_ok=True)
                with whole(folder / HANDED_ON) as temporary:
                    save_file(stored(state.model), temporary)
            return
        grid, untrained = self.data.header.grid, self.untrained()
        save_generator(self.folder, LoadedGenerator(state.model.eval(), self.form, self.tokenizer, grid, untrained))
        self.progress.say(f"generator: {self.folder}")

    def untrained(self) -> tuple[str, ...]:
        """Return the parts that begin at random, and learn in no phase."""
        learning = {name for phase in self.trainer.phases for name in phase.train}
        return tuple(
            name for name in ("adapter", "head", *["language_model"] * (not self.start)) if name not in learning
        )

    def measure(self, state: GeneratorState) -> None:
        """Say, and log, the loss of the images that were kept from training, and of those with unseen captions."""
        for kept, rows in self.data.held_out().items():
            found = held_out_loss(state, self.data.batches_of(rows, state.share.images))
            if found is None:
                continue
            numbers = {f"{kept}/loss": found.loss, f"{kept}/perplexity": found.perplexity}
            self.metrics.write({"part": state.part.name, "step": state.step, **numbers})
            self.loggers.scalars(state.run_step, numbers)
            what = "images kept from training" if kept == "test" else "captions kept from training"
            told = f"{found.loss:.4g} nats a token, a perplexity of {found.perplexity:.4g} of {state.model.codes} codes"
            self.progress.say(f"{state.part.name}: on {what} {told}")


def start_of(options: GeneratorOptions) -> LlamaStart | None:
    """Return what the language model begins from; None where it begins untrained."""
    if options.from_ is None:
        return None
    preset = "" if options.preset == "tiny" else options.preset
    return LlamaStart.read(options.from_.expanduser(), options.text, preset, options.shape)


def form_of(options: GeneratorOptions) -> PromptFormat:
    """Return the format of the prompts of a model that begins untrained."""
    return PromptFormat.of_bytes() if options.text is None else PromptFormat.read(options.text)


def parts_of(phases: Sequence[GeneratorPhase], seed: int) -> tuple[Part[GeneratorPhase], ...]:
    """Return the parts of a run, each with the weights of the one before.

    Raises:
        InputError: Two phases of one name.
    """
    parts: list[Part[GeneratorPhase]] = []
    done = 0
    for number, phase in enumerate(phases):
        if phase.name in {part.name for part in parts}:
            raise InputError(expected(f"phases[{number}].name", "a name of its own", f"'{phase.name}' again"))
        before = parts[-1].name if parts else ""
        parts.append(Part(phase.name, phase, (), before, done, done, seed + number))
        done += phase.steps
    return tuple(parts)


def compute_again(model: InsightAR) -> None:
    """Let activations of the language model be computed again in backward."""
    language_model: Any = model.language_model
    newer = getattr(language_model, "activation_checkpointing_enable", None)  # of transformers 5
    (newer or language_model.gradient_checkpointing_enable)({"use_reentrant": False})


def set_trainable(model: InsightAR, parts: Sequence[str]) -> None:
    """Let only these parts learn; a text head of its own learns never, since it is not evaluated."""
    for name, part in model.named_children():
        part.requires_grad_(name in parts)
    if not model.tied:
        model.language_model.lm_head.requires_grad_(False)

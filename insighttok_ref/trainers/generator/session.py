"""A run of the trainer `insightar`: one generator, phase after phase."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from insighttok_ref.generator.checkpoints import (
    HANDED_ON,
    IMAGES,
    LoadedGenerator,
    built,
    calculate_positions,
    save_company,
    save_generator,
    save_weights,
    told_of,
)
from insighttok_ref.generator.compat import drawn_within
from insighttok_ref.generator.llama_start import LlamaStart
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.generator.runs import ENGINE
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.trainers.generator.loop import GeneratorState, check_room, held_out_loss, train_part
from insighttok_ref.trainers.generator.options import GeneratorOptions, GeneratorPhase
from insighttok_ref.trainers.generator.token_batches import TokenBatch, TokenData
from insighttok_ref.trainers.generator.trainer import GeneratorTrainer
from insighttok_ref.trainers.parts_run import PartsRun
from insighttok_ref.trainers.tokenizer.part_state import random_file, random_state, set_random_state
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.checkpoint import STATE, WHAT, read_saved
from insighttok_ref.training.engines import build_engine, deepspeed_config
from insighttok_ref.training.metrics_log import ROOM
from insighttok_ref.training.stop import FiniteWatch
from insighttok_ref.training.weight_files import WholeWeights
from insighttok_ref.training.zero.shards import ShardedEngine, gathered, sharded, size_of
from regionloss.data.batches import Share
from regionloss.disk import to_disk, whole
from regionloss.errors import InputError, expected
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks, barrier, rank_and_size
from regionloss.weights import read_safetensors, readable

LEFT = "the weights of a phase"


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

    def new_model(self, codebook: Tensor | None = None) -> InsightAR:
        """Return a model with weights that are not trained; its codes are the tokenizer's if not given."""
        options = self.trainer.model
        codebook = self.tokenizer.codebook if codebook is None else codebook
        if self.start is not None:
            return InsightAR.for_codebook(self.start.shape, codebook)
        return InsightAR.from_preset(options.preset, codebook, **options.shape)

    def sharded_model(self, share: Share) -> InsightAR:
        """Return the same model, of which every rank has a part and none ever had all."""
        config = deepspeed_config(
            self.trainer.optimizer, share, self.trainer.engine.zero_stage, self.trainer.engine.settings
        )
        with sharded(config, self.ranks.device), drawn_within(partial(gathered, changed=True)):
            model = self.new_model(self.tokenizer.codebook.to("meta"))
        calculate_positions(model)  # where weights are bfloat16, DeepSpeed has made these so, too
        model.language_model.model.rotary_emb.to(self.ranks.device)
        with gathered(model.codebook.parameters(), changed=True):
            if self.ranks.is_first:
                model.codebook.weight.data.copy_(self.tokenizer.codebook)
        return model

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
        options, share = self.trainer.engine, self.shares[part.name]
        before = self.folder / part.starts_from / HANDED_ON if part.starts_from and not going_on else None
        torch.manual_seed(part.seed)
        if options.sharded:
            model = self.sharded_model(share)
        else:
            model = self.new_model()
            if before is not None:
                model = built(model.config, read_safetensors(before, LEFT)[0], str(before))
            elif self.start is not None and not going_on:
                model.load_state_dict(self.start.tensors(), strict=False)
            model.to(self.ranks.device)
        set_trainable(model, part.phase.train)
        if self.trainer.model.checkpointing:
            compute_again(model)
        engine = build_engine(
            options.name,
            model,
            self.optimizer,
            share,
            key=ENGINE,
            zero_stage=options.zero_stage,
            settings=options.settings,
            shard_optimizer=options.shard_optimizer,
        )
        if isinstance(engine, ShardedEngine):
            if before is not None:
                engine.start_from(WholeWeights([before], LEFT), str(before))
            elif self.start is not None and not going_on:
                engine.start_from(self.start.weights(), str(self.start.folder), some=True)
        torch.manual_seed(part.seed + self.ranks.rank)
        watch = FiniteWatch(self.ranks.device, self.advice)
        return GeneratorState(part, share, model, engine, watch, options.precision == "bf16")

    def go_on(self, state: GeneratorState, saved: Mapping[str, Any], folder: Path) -> None:
        """Bring a part to where a checkpoint left it."""
        with readable(folder / STATE, WHAT):
            state.step, state.seconds = int(saved["step"]), float(saved["seconds"])
            state.engine.load(folder)
            if state.shards is None:
                state.model.load_state_dict(saved["model"])
        mine = folder / random_file(rank_and_size()[0])
        if mine.is_file():  # a rank more than before draws on from its seed
            with readable(mine, WHAT):
                set_random_state(read_saved(mine))

    def ready(self, state: GeneratorState) -> None:
        """Say what learns; put beside it what a generator needs, for whoever converts what is saved."""
        if self.ranks.is_first and not (self.folder / IMAGES).is_file():
            save_company(self.folder, self.form, self.tokenizer)
        learning = sum(size_of(one) for one in state.model.parameters() if one.requires_grad)
        every = sum(map(size_of, state.model.parameters()))
        parts = ", ".join(state.part.phase.train)
        self.progress.say(f"learns: {parts} ({learning / 1e6:.3g} of {every / 1e6:.3g} million weights)")

    def train_part(self, state: GeneratorState) -> None:
        """Do the steps of a part that are left."""
        before = [part.phase for part in self.parts[: self.parts.index(state.part)]]
        seen = sum(phase.steps * phase.batch_size for phase in before)
        batches = self.data.starting_at(state.step * state.share.accumulation, state.share, seen)
        train_part(state, batches, self.trainer.log.every, self._after_step)

    def snapshot(self, state: GeneratorState) -> dict[str, Any]:
        """Return what an exact continuation needs besides the ranks' own files."""
        return {
            "part": state.part.name,
            "step": state.step,
            "seconds": state.seconds,
            "generator": json.dumps(told_of(self.generator(state))),
            **({"model": state.model.state_dict()} if state.shards is None else {}),
        }

    def shards(self, state: GeneratorState) -> dict[str, Any]:
        """Return this rank's own files of a checkpoint, by name."""
        return {random_file(rank_and_size()[0]): random_state(), **state.engine.shards()}

    def _history(self) -> dict[str, Any]:
        """What every checkpoint holds beside its part's state: how many images there were, too."""
        return {**super()._history(), "images": self.data.images}

    def keep(self, state: GeneratorState) -> None:
        """Measure on the images of the test; write what a part has learnt: of the last one, the generator."""
        self.measure(state)
        weights = state.shards.whole() if state.shards is not None else None
        if self.ranks.is_first:
            self._write(state, weights)
        for _ in weights or ():  # the first rank cannot bring them together alone
            pass

    def _write(self, state: GeneratorState, weights: Iterator[tuple[str, Tensor]] | None) -> None:
        if state.part is not self.parts[-1]:
            folder = self.folder / state.part.name
            with to_disk(folder, ROOM):
                folder.mkdir(exist_ok=True)
                with whole(folder / HANDED_ON) as temporary:
                    save_weights(temporary, state.model, weights, {})
            return
        state.model.eval()
        save_generator(self.folder, self.generator(state), weights)
        self.progress.say(f"generator: {self.folder}")

    def generator(self, state: GeneratorState) -> LoadedGenerator:
        """Return what is trained, with all that it needs to draw."""
        return LoadedGenerator(state.model, self.form, self.tokenizer, self.data.header.grid, self.untrained())

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
            if found is None or not self.ranks.is_first:
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

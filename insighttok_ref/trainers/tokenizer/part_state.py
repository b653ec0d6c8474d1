"""Parts of a run as they begin, as they are kept, and as they go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from insighttok_ref.objective.adversarial import Adversary
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.objective.perceptual import PerceptualLoss
from insighttok_ref.quantizers.build import DEFAULT
from insighttok_ref.tokenizers.base import Tokenizer, Trainee
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.trainers.tokenizer.acceleration import accelerate
from insighttok_ref.trainers.tokenizer.loop import PartState
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.checkpoint import STATE, WHAT, read_saved
from insighttok_ref.training.engines import build_engine
from insighttok_ref.training.stop import FiniteWatch
from insighttok_ref.training.weight_average import WeightAverage
from regionloss.errors import InputError, WeightsError, expected, reason_of
from regionloss.losses import LossTerms
from regionloss.runs import rank_and_size
from regionloss.weights import readable

if TYPE_CHECKING:
    from insighttok_ref.trainers.tokenizer.session import Session


class PartFolder:
    """What a finished part leaves: its tokenizer, and what the next part starts from.

    Args:
        run: Folder of the run.
        part: Name of the part.
    """

    def __init__(self, run: Path, part: str) -> None:
        self.path = run / part
        self.tokenizer = self.path / "tokenizer.safetensors"
        self.average = self.path / "tokenizer-average.safetensors"
        self.adversary = self.path / "adversary.safetensors"

    def write(self, state: PartState) -> None:
        """Write what a part has learnt."""
        self.path.mkdir(parents=True, exist_ok=True)
        if state.adversary is not None:
            tensors = {name: value.detach().cpu().contiguous() for name, value in state.adversary.state_dict().items()}
            save_file(tensors, self.adversary)
        if state.average is not None:
            save_tokenizer(as_tokenizer(state.average.model), self.average)
        save_tokenizer(as_tokenizer(state.model), self.tokenizer)

    def load_adversary(self, adversary: Adversary) -> None:
        """Load the discriminator that the part has left.

        Raises:
            WeightsError: The file is absent or broken.
        """
        try:
            adversary.load_state_dict(load_file(self.adversary))
        except (OSError, SafetensorError, RuntimeError) as error:
            advice = "Bring it back from a copy of the run, or begin anew."
            raise WeightsError(
                expected(str(self.adversary), "the discriminator of a part", reason_of(error), advice)
            ) from error


def as_tokenizer(model: Trainee) -> Tokenizer:
    """Return a model that is known to be a tokenizer."""
    assert isinstance(model, Tokenizer)
    return model


def begin(session: Session, part: Part, going_on: bool) -> PartState:
    """Return the state at which a part begins.

    Args:
        session: Run that the part belongs to.
        part: The part to begin.
        going_on: Whether its weights are then replaced by those of a checkpoint.

    Raises:
        InputError: What to start from has another layout.
        WeightsError: A file to start from, or the weights of a frozen network, are not there.
    """
    trainer, device, share = session.trainer, session.ranks.device, session.shares[part.name]
    before = PartFolder(session.folder, part.starts_from) if part.starts_from else None
    torch.manual_seed(part.seed)
    model = session.build(part, going_on)
    objective = build_objective(
        trainer.objective, part, session.terms, session.perceptual, device, timed=trainer.log.costs
    )
    adversary, engine = objective.adversary, trainer.engine
    if before is not None and adversary is not None:
        before.load_adversary(adversary)
    build = partial(build_engine, engine.name, options=session.optimizer, share=share, settings=engine.settings)
    build = partial(build, shard_optimizer=engine.shard_optimizer)
    state = PartState(
        part,
        share,
        model,
        build(model, key="tokenizer-engine", zero_stage=engine.zero_stage),
        objective,
        FiniteWatch(device, session.advice),
        bf16=engine.precision == "bf16",
    )
    if adversary is not None:
        state.adversary_engine = build(adversary, key="adversary-engine", zero_stage=engine.adversary_zero_stage)
    if trainer.weight_average:
        state.average = WeightAverage(model, trainer.weight_average)
        if before is not None:
            state.average.model.load_state_dict(load_tokenizer(before.average).state_dict())
    accelerate(state, engine)
    if rank_and_size()[0]:  # the first rank's draws decide where all must agree
        torch.manual_seed(part.seed + rank_and_size()[0])
    return state


def matching(model: Tokenizer, path: Path) -> Tokenizer:
    """Read a tokenizer to start from.

    Raises:
        InputError: It has another layout than the model; the sentence names the options that differ.
        WeightsError: The file is absent, broken, or holds something else.
    """
    other = load_tokenizer(path)
    ours, theirs = laid_out(model), laid_out(other)
    keys = dict.fromkeys([*ours, *theirs])
    differing = [f"{key} {theirs.get(key)} (here {ours.get(key)})" for key in keys if ours.get(key) != theirs.get(key)]
    if differing:
        advice = "Give the recipe's model the options of the file."
        raise InputError(expected(str(path), "a tokenizer of the recipe's layout", ", ".join(differing), advice))
    return other


def laid_out(model: Tokenizer) -> dict[str, Any]:
    """Return what two tokenizers must have in common for one to begin with the weights of the other."""
    config = {name: value for name, value in model.config.items() if name != "quantizer"}
    own = {"use": model.config.get("quantizer", {}).get("use", DEFAULT), **model.quantize.layout}
    return config | {f"quantizer.{name}": value for name, value in own.items()}


def start_from(model: Tokenizer, path: Path) -> None:
    """Load a tokenizer's weights; raises as `matching` does."""
    known, read = model.state_dict(), matching(model, path).state_dict()
    # The window of recent ids, which one may keep and the other not, decides nothing.
    model.load_state_dict({**known, **{name: value for name, value in read.items() if name in known}})


def build_objective(
    options: ObjectiveOptions,
    part: Part,
    terms: LossTerms,
    perceptual: PerceptualLoss | None,
    device: torch.device,
    *,
    timed: bool,
) -> Objective:
    """Return what a part is trained on: the terms that count with its weights, `timed` or not; others are watched."""
    weights = part.phase.term_weights
    weighted = {name: replace(term, weight=weights.get(name, term.weight)) for name, term in terms.terms.items()}
    active = {name: weighted[name] for name in part.terms}
    watched = {name: term for name, term in weighted.items() if name not in part.terms}
    return Objective(
        options,
        LossTerms(active, timed=timed),
        LossTerms(watched),
        perceptual=perceptual.to(device) if perceptual is not None else None,
        adversary=Adversary(options.adversarial).to(device) if options.adversarial else None,
    )


def snapshot(state: PartState) -> dict[str, Any]:
    """Return what an exact continuation needs besides the ranks' own files."""
    # So that others can read what a stopped run has learnt.
    config = {"tokenizer": json.dumps(state.model.config)} if isinstance(state.model, Tokenizer) else {}
    return {
        **config,
        "part": state.part.name,
        "step": state.step,
        "seconds": state.seconds,
        "model": state.model.state_dict(),
        "adversary": state.adversary.state_dict() if state.adversary is not None else None,
        "average": state.average.model.state_dict() if state.average is not None else None,
    }


def shards(state: PartState) -> dict[str, Any]:
    """Return what engines and this rank need to go on: this rank's own files of a checkpoint, by name."""
    mine = {random_file(rank_and_size()[0]): {**random_state(), **state.model.rank_buffers()}}
    adversary = state.adversary_engine.shards() if state.adversary_engine is not None else {}
    return {**mine, **state.engine.shards(), **adversary}


def go_on(state: PartState, saved: Mapping[str, Any], folder: Path) -> None:
    """Bring a part to where a checkpoint left it.

    Args:
        state: State that `begin` returned.
        saved: What `snapshot` returned when it was saved.
        folder: Folder of the checkpoint.

    Raises:
        WeightsError: A file of the checkpoint lacks what it should have, or has something else in its place.
    """
    with readable(folder / STATE, WHAT):
        state.step, state.seconds = int(saved["step"]), float(saved["seconds"])
        state.engine.load(folder)
        state.model.load_state_dict(saved["model"])
        if state.adversary is not None and state.adversary_engine is not None:
            state.adversary_engine.load(folder)
            state.adversary.load_state_dict(saved["adversary"])
        if state.average is not None:
            state.average.model.load_state_dict(saved["average"])
    mine = folder / random_file(rank_and_size()[0])
    if mine.is_file():  # a rank more than before draws on from its seed
        with readable(mine, WHAT):
            own = read_saved(mine)
            set_random_state(own)
            for name, buffer in state.model.rank_buffers().items():
                buffer.copy_(own[name])


def random_file(rank: int) -> str:
    """Return the name of a rank's random states in a checkpoint."""
    return f"random-{rank:05d}.pt"


def random_state() -> dict[str, Tensor]:
    """Return the states of torch's generators."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    """Set torch's generators to `random_state()`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

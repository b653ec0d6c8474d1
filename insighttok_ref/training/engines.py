"""Engines: backward, clipping and optimizer step behind one small protocol; DeepSpeed's are in the room beside."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator
from torch import Tensor, nn

from insighttok_ref.schema import Strict
from insighttok_ref.training.checkpoint import WHAT, read_saved
from insighttok_ref.training.decay_groups import decay_groups
from insighttok_ref.training.gradient_buckets import GradientBuckets
from insighttok_ref.training.optimizer_states import WeightShares, by_name, files_of, load_optimizer, names_in
from insighttok_ref.training.zero.options import merged
from regionloss.data.batches import Share
from regionloss.errors import InputError, expected
from regionloss.runs import Ranks, join, rank_and_size
from regionloss.weights import readable


class OptimizerOptions(Strict):
    """Adam with the constants of VQGAN training; the learning rate is a phase's own.

    Args:
        betas: Decays of the first and second moments.
        weight_decay: AdamW's, decoupled from the gradients.
        decayed: What decays: `matrices`, kernels among them, but neither biases and norms nor tables of codes or
            tokens; or `all`, as in runs of earlier versions, which go on so.
        clip: Largest norm of the gradients of a step.
    """

    betas: tuple[NonNegativeFloat, NonNegativeFloat] = (0.5, 0.9)
    weight_decay: NonNegativeFloat = 0.0
    decayed: Literal["matrices", "all"] = "matrices"
    clip: PositiveFloat = 1.0


class ComputeOptions(Strict):
    """Where and how a run computes.

    Args:
        name: `plain` (torch alone) or `deepspeed`.
        device: `auto` (an accelerator if there is one), or a torch device.
        precision: `bf16` computes under autocast; weights, optimizer and codebook stay float32.
        micro_batch: Images in one forward of one rank; None takes a rank's share of the batch at once. Gradients
            are accumulated over micro-batches.
        zero_stage: What DeepSpeed shards over the ranks for the model: 0 nothing, 1 the optimizer's state, 2 gradients
            too, 3 (of generators alone) the weights too.
        shard_optimizer: Whether each rank of `plain` keeps the optimizer's state of its share of the weights alone; a
            run goes on with any number of ranks, with it or without.
        threads: CPU threads; None takes the cores that other programs and the container's limit leave when the run
            begins, and keeps to their number where it goes on; OMP_NUM_THREADS and MKL_NUM_THREADS are obeyed.
        timeout: Longest time in minutes for which one rank waits for another in a step, which slow data may need. What
            comes before training, such as counting the images of shards, may take hours.
        options: DeepSpeed's own options, in its words; they go over what it would do by itself, and may not contradict
            the recipe. "auto" leaves a value to the recipe.
    """

    #: The stages that a trainer can do with, and why no other one.
    STAGES: ClassVar[tuple[int, ...]] = (0, 1, 2)
    UNSHARDED: ClassVar[str]

    name: Literal["plain", "deepspeed"] = "plain"
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batch: PositiveInt | None = None
    zero_stage: int = 1
    shard_optimizer: bool = False
    threads: PositiveInt | None = None
    timeout: PositiveFloat = 10
    options: Mapping[str, Any] = {}

    @field_validator("zero_stage", "adversary_zero_stage", check_fields=False)
    @classmethod
    def _known(cls, stage: int) -> int:
        if stage not in cls.STAGES:
            *others, last = map(str, cls.STAGES)
            raise ValueError(f"expected {', '.join(others)} or {last}, got {stage}. {cls.UNSHARDED}")
        return stage

    def join(self) -> AbstractContextManager[Ranks]:
        """Join the processes of the run; DeepSpeed wants a group of one process, too."""
        return join(self.device, timeout=timedelta(minutes=self.timeout), group_of_one=self.name == "deepspeed")

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.options and self.name != "deepspeed":
            got = f"{', '.join(self.options)} for the engine '{self.name}'"
            raise ValueError(expected("options", "none, since they are DeepSpeed's", got, "Say name: deepspeed."))
        if self.shard_optimizer and self.name != "plain":
            advice = "zero_stage says there what is sharded."
            raise ValueError(
                expected("shard_optimizer", "false, since it is plain's", f"true for '{self.name}'", advice)
            )
        for stage in {self.zero_stage, getattr(self, "adversary_zero_stage", self.zero_stage)}:
            merged({"zero_optimization": {"stage": stage}}, self.settings)
        return self

    @property
    def sharded(self) -> bool:
        """Whether no rank holds all weights."""
        return self.name == "deepspeed" and self.zero_stage == 3

    @property
    def decided(self) -> dict[str, Any]:
        """What the recipe decides in the words of DeepSpeed, whatever the phase."""
        # Where weights are sharded they are kept in the precision of the forward pass, else autocast casts them.
        off = {name: {"enabled": False} for name in ("fp16", "torch_autocast")}
        return {"bf16": {"enabled": self.sharded and self.precision == "bf16"}, **off}

    @property
    def settings(self) -> Mapping[str, Any]:
        """What DeepSpeed is told besides what a phase decides.

        Raises:
            InputError: Options that contradict the recipe.
        """
        return merged(self.decided, self.options)


#: Gradients that DeepSpeed sends at once, where nobody says: 200 MB of float32, a tenth of what it would itself take.
BUCKET = 50_000_000


def deepspeed_config(
    options: OptimizerOptions, share: Share, zero_stage: int, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the configuration that DeepSpeed is given; arguments, and what is raised, as for `build_engine`."""
    decided = {
        "train_batch_size": share.batch_size,
        "train_micro_batch_size_per_gpu": share.images,
        "gradient_accumulation_steps": share.accumulation,
        "gradient_clipping": options.clip,
        "zero_optimization": {"stage": zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**62,
    }
    found = merged(decided, settings or {})
    found["zero_optimization"].setdefault("reduce_bucket_size", BUCKET)
    del found["train_batch_size"]  # DeepSpeed multiplies the others
    return found


class Engine(Protocol):
    """Backward for each micro-batch of a step, then one step."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's 0-d loss, divided by the number of micro-batches in a step."""

    def step(self, lr: float) -> Tensor:
        """Average over ranks, clip, step, forget the gradients; return their norm before clipping, 0-d."""

    def shards(self) -> Mapping[str, Any]:
        """Return what an exact continuation needs: this rank's own files of a checkpoint, by name."""

    def load(self, folder: Path) -> None:
        """Go on from a folder with the files of all ranks; every rank calls it."""


def build_engine(
    name: str,
    module: nn.Module,
    options: OptimizerOptions,
    share: Share,
    *,
    key: str,
    zero_stage: int = 1,
    settings: Mapping[str, Any] | None = None,
    shard_optimizer: bool = False,
) -> Engine:
    """Return an engine for the trainable weights of a module.

    Args:
        name: Name of the engine, `plain` or `deepspeed`.
        module: Module on its device, with the weights to start from.
        options: Options of AdamW (Adam where `weight_decay` is 0).
        share: Gradients are accumulated over its micro-batches.
        key: Names the engine's files.
        zero_stage: What DeepSpeed shards over the ranks: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 the
            weights too, of a module that was made `sharded`.
        settings: What DeepSpeed is told besides, in its own words.
        shard_optimizer: Whether each rank of `plain` keeps a share of the optimizer's state.

    Raises:
        InputError: Nothing is trainable, or settings contradict the other arguments.
        PluginError: DeepSpeed is not installed.
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(expected(key, "at least one part that learns", "everything frozen", "See a phase's `train`."))
    if name == "deepspeed":
        from insighttok_ref.training.zero.engine import DeepSpeedEngine
        from insighttok_ref.training.zero.shards import ShardedEngine

        config = deepspeed_config(options, share, zero_stage, settings)
        kind = ShardedEngine if zero_stage == 3 else DeepSpeedEngine
        return kind(module, adam(module, options), config, key=key)
    return PlainEngine(module, options, share.accumulation, key=key, shard=shard_optimizer)


def adam(module: nn.Module, options: OptimizerOptions) -> torch.optim.AdamW:
    """Return the optimizer of a module's trainable weights; engines set the learning rate at each step."""
    groups = decay_groups(module, options.weight_decay, all_decay=options.decayed == "all")
    fused = groups[0]["params"][0].device.type == "cuda"
    return torch.optim.AdamW(groups, lr=0.0, betas=options.betas, fused=fused or None)


class PlainEngine:
    """Torch alone, on any number of ranks; resumes bit for bit.

    Args: as for `build_engine`; `accumulation` is the number of micro-batches in a step, and with `shard` each rank
        keeps the optimizer's state of a share of the weights.
    """

    def __init__(
        self,
        module: nn.Module,
        options: OptimizerOptions,
        accumulation: int = 1,
        *,
        key: str = "module",
        shard: bool = False,
    ) -> None:
        self.names = {p: name for name, p in module.named_parameters() if p.requires_grad}
        self.parameters = list(self.names)
        self.clip, self.accumulation, self.key = options.clip, accumulation, key
        self.optimizer = adam(module, options)
        self.all_names = names_in(self.optimizer, self.names)
        rank, ranks = rank_and_size()
        self.shares = WeightShares(self.parameters, ranks) if shard and ranks > 1 else None
        if self.shares is not None:
            self.shares.keep(self.optimizer, rank)
        self.buckets, self.done = GradientBuckets(self.parameters), 0

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's 0-d loss; see `Engine`."""
        self.done += 1
        if self.done == self.accumulation:
            self.buckets.expect()
        (loss if self.accumulation == 1 else loss / self.accumulation).backward()

    def step(self, lr: float) -> Tensor:
        """Average over ranks, clip, step, forget the gradients; see `Engine`."""
        self.buckets.average()
        self.done = 0
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        if self.shares is not None:
            self.shares.exchange()
        for parameter in self.parameters:
            parameter.grad = None
        return norm

    def shards(self) -> Mapping[str, Any]:
        """Return the optimizer's state, the first rank's where all have the same, else each rank's; see `Engine`."""
        rank = rank_and_size()[0]
        if self.shares is not None:
            states = {**self.optimizer.state_dict(), "names": names_in(self.optimizer, self.names)}
            return {f"{self.key}-{rank:05d}.pt": states}
        return {} if rank else {f"{self.key}.pt": self.optimizer.state_dict()}

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint of any number of ranks; see `Engine`."""
        states: dict[str, Any] = {}
        for file in files_of(folder, self.key):
            with readable(file, WHAT):
                states |= by_name(read_saved(file), self.all_names)
        mine = {
            n: states[name] for n, name in enumerate(chain(*names_in(self.optimizer, self.names))) if name in states
        }
        with readable(folder / self.key, WHAT):
            load_optimizer(self.optimizer, {**self.optimizer.state_dict(), "state": mine})

"""Engines: backward, clipping and optimizer step behind one small protocol. The only file that knows DeepSpeed.

Forward passes go through the modules themselves. DeepSpeed hooks the outputs of its own forward, and then a
discriminator's pass inside the tokenizer's step, or the adaptive weight's `autograd.grad`, would run its reduction.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, field_validator
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.schema import Strict
from insighttok_ref.training.checkpoint import WHAT, read_saved
from insighttok_ref.training.gradient_buckets import GradientBuckets
from regionloss.data.batches import Share
from regionloss.errors import InputError, PluginError, expected
from regionloss.runs import Ranks, join, rank_and_size
from regionloss.weights import readable


class OptimizerOptions(Strict):
    """Adam with the constants of VQGAN training; the learning rate is a phase's own.

    Args:
        betas: Decays of the first and second moments.
        weight_decay: AdamW's, decoupled from the gradients.
        clip: Largest norm of the gradients of a step.
    """

    betas: tuple[NonNegativeFloat, NonNegativeFloat] = (0.5, 0.9)
    weight_decay: NonNegativeFloat = 0.0
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
            too.
        threads: CPU threads; None takes the cores that other programs and the container's limit leave when the run
            begins, and keeps to their number where it goes on; OMP_NUM_THREADS and MKL_NUM_THREADS are obeyed.
        timeout: Longest time in minutes for which one rank waits for another in a step, which slow data may need. What
            comes before training, such as counting the images of shards, may take hours.
    """

    #: Why the stage that shards the weights is refused.
    UNSHARDED: ClassVar[str]

    name: Literal["plain", "deepspeed"] = "plain"
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batch: PositiveInt | None = None
    zero_stage: int = 1
    threads: PositiveInt | None = None
    timeout: PositiveFloat = 10

    @field_validator("zero_stage", "adversary_zero_stage", check_fields=False)
    @classmethod
    def _known(cls, stage: int) -> int:
        if stage not in (0, 1, 2):
            raise ValueError(f"expected 0, 1 or 2, got {stage}. {cls.UNSHARDED}")
        return stage

    def join(self) -> AbstractContextManager[Ranks]:
        """Join the processes of the run; DeepSpeed wants a group of one process, too."""
        return join(self.device, timeout=timedelta(minutes=self.timeout), group_of_one=self.name == "deepspeed")


class Engine(Protocol):
    """Backward for each micro-batch of a step, then one step."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's 0-d loss, divided by the number of micro-batches in a step."""

    def step(self, lr: float) -> Tensor:
        """Average over ranks, clip, step, forget the gradients; return their norm before clipping, 0-d."""

    def save(self, folder: Path) -> None:
        """Write what an exact continuation needs; every rank calls it."""

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote; every rank calls it."""


def build_engine(
    name: str, module: nn.Module, options: OptimizerOptions, share: Share, *, key: str, zero_stage: int = 1
) -> Engine:
    """Return an engine for the trainable weights of a module.

    Args:
        name: Name of the engine, `plain` or `deepspeed`.
        module: Module on its device, with the weights to start from.
        options: Options of AdamW (Adam where `weight_decay` is 0).
        share: Gradients are accumulated over its micro-batches.
        key: Names the files that the engine writes.
        zero_stage: What DeepSpeed shards over the ranks: 0 nothing, 1 the optimizer's state, 2 gradients too.

    Raises:
        InputError: Nothing is trainable.
        PluginError: DeepSpeed is not installed.
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(expected(key, "at least one part that learns", "everything frozen", "See a phase's `train`."))
    if name == "deepspeed":
        return DeepSpeedEngine(module, options, share, key=key, zero_stage=zero_stage)
    return PlainEngine(module, options, share.accumulation, key=key)


def adam(module: nn.Module, options: OptimizerOptions) -> torch.optim.AdamW:
    """Return the optimizer of a module's trainable weights; engines set the learning rate at each step."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    fused = parameters[0].device.type == "cuda"
    return torch.optim.AdamW(
        parameters, lr=0.0, betas=options.betas, weight_decay=options.weight_decay, fused=fused or None
    )


class PlainEngine:
    """Torch alone, on any number of ranks; resumes bit for bit.

    Args: as for `build_engine`; `accumulation` is the number of micro-batches in a step.
    """

    def __init__(
        self, module: nn.Module, options: OptimizerOptions, accumulation: int = 1, *, key: str = "module"
    ) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.clip, self.accumulation, self.key = options.clip, accumulation, key
        self.optimizer = adam(module, options)
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
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def save(self, folder: Path) -> None:
        """Write the optimizer's state, which is the same on every rank."""
        if rank_and_size()[0] == 0:
            torch.save(self.optimizer.state_dict(), folder / f"{self.key}.pt")

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""
        file = folder / f"{self.key}.pt"
        with readable(file, WHAT):
            self.optimizer.load_state_dict(read_saved(file))


def deepspeed_config(options: OptimizerOptions, share: Share, zero_stage: int) -> dict[str, Any]:
    """Return what DeepSpeed is told; arguments as for `build_engine`."""
    return {
        "train_micro_batch_size_per_gpu": share.images,
        "gradient_accumulation_steps": share.accumulation,
        "gradient_clipping": options.clip,
        "zero_optimization": {"stage": zero_stage},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**62,
    }


class DeepSpeedEngine:
    """DeepSpeed's backward, reduction, clipping and ZeRO step; goes on with as many ranks as it was saved with.

    It needs a process group, also in a single process (`join(group_of_one=True)`).

    Args: as for `build_engine`.
    """

    def __init__(
        self, module: nn.Module, options: OptimizerOptions, share: Share, *, key: str, zero_stage: int
    ) -> None:
        deepspeed = import_deepspeed(next(module.parameters()).device)
        self.key, config = key, deepspeed_config(options, share, zero_stage)
        with local_rank_named():
            self.engine, self.optimizer, *_ = deepspeed.initialize(
                model=module, optimizer=adam(module, options), config=config, dist_init_required=False
            )

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's 0-d loss; see `Engine`."""
        self.engine.backward(loss)
        if not self.engine.is_gradient_accumulation_boundary():
            self.engine.step()  # counts the micro-batch

    def step(self, lr: float) -> Tensor:
        """Average over ranks, clip, step, forget the gradients; see `Engine`."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        norm = self._unsharded_norm()
        self.engine.step()
        return self.engine.get_global_grad_norm() if norm is None else norm

    def _unsharded_norm(self) -> Tensor | None:
        """The norm at stage 0, which DeepSpeed does not report."""
        if self.engine.zero_optimization_stage():
            return None
        return nn.utils.get_total_norm([p.grad for p in self.engine.module.parameters() if p.grad is not None])

    @property
    def _inner(self) -> torch.optim.Optimizer:
        """Torch's own optimizer: of the weights at stage 0, else of this rank's share of them, flat."""
        inner: torch.optim.Optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        return inner

    def save(self, folder: Path) -> None:
        """Write every rank's shard: tensors and numbers, where DeepSpeed's own files hold objects and run them."""
        if self._shard() == rank_and_size()[0]:
            state = {"optimizer": self._inner.state_dict(), "weights": self._weights()}
            torch.save(state, folder / f"{self.key}-{self._shard():05d}.pt")

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""
        file = folder / f"{self.key}-{self._shard():05d}.pt"
        with readable(file, WHAT):
            state = read_saved(file)
            self._inner.load_state_dict(state["optimizer"])
            for weight, saved in zip(self._weights(), state["weights"], strict=True):
                weight.copy_(saved)

    def _shard(self) -> int:
        """The rank whose state is this one's: at stage 0 all have the same."""
        return rank_and_size()[0] if self.engine.zero_optimization_stage() else 0

    def _weights(self) -> list[Tensor]:
        """The optimizer's own copy of this rank's share, which no module holds; none at stage 0."""
        if not self.engine.zero_optimization_stage():
            return []
        return [weight.detach() for group in self._inner.param_groups for weight in group["params"]]


@contextmanager
def local_rank_named() -> Iterator[None]:
    """Set LOCAL_RANK where no launcher has: DeepSpeed asks for it when it starts, and nobody afterwards."""
    missing = "LOCAL_RANK" not in os.environ
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        yield
    finally:
        if missing:
            del os.environ["LOCAL_RANK"]


def import_deepspeed(device: torch.device) -> Any:
    """Import DeepSpeed for a device.

    Raises:
        PluginError: It is not installed.
    """
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
        import deepspeed.ops
    except ImportError as error:
        advice = "Run 'pip install \"regionloss[deepspeed]\"', or train with trainer.options.engine.name=plain."
        raise PluginError(expected("engine 'deepspeed'", "DeepSpeed", str(error), advice)) from error
    # Its shared-memory collective serves inference alone, and would be compiled at start.
    getattr(deepspeed.ops, "__compatible_ops__", {})["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    _forget_earlier_runs(deepspeed)
    return deepspeed


def _forget_earlier_runs(deepspeed: Any) -> None:
    """DeepSpeed keeps the process group of an earlier run in this process, which is void once that has ended."""
    groups = deepspeed.utils.groups
    try:
        if groups._WORLD_GROUP is not None:
            dist.get_process_group_ranks(groups._WORLD_GROUP)
    except KeyError:  # torch has forgotten it
        groups._WORLD_GROUP = deepspeed.comm.comm.cdb = None

"""DeepSpeed's step for a module that every rank holds whole.

Forward passes go through the modules themselves. DeepSpeed hooks the outputs of its own forward, and then a
discriminator's pass inside the tokenizer's step, or the adaptive weight's `autograd.grad`, would run its reduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from insighttok_ref.training.checkpoint import WHAT, read_saved
from insighttok_ref.training.optimizer_states import load_optimizer
from insighttok_ref.training.zero.library import accepted, import_deepspeed, local_rank_named
from regionloss.runs import rank_and_size
from regionloss.weights import readable


class DeepSpeedEngine:
    """DeepSpeed's backward, reduction, clipping and ZeRO step; goes on with as many ranks as it was saved with.

    It needs a process group, also in a single process (`join(group_of_one=True)`).

    Args:
        module: Module on its device, with the weights to start from.
        optimizer: The optimizer of its trainable weights.
        config: What DeepSpeed is told.
        key: Names the engine's files.

    Raises:
        InputError: Options that DeepSpeed refuses, or does not know.
        PluginError: It is not installed.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, config: Mapping[str, Any], *, key: str
    ) -> None:
        deepspeed = import_deepspeed(next(module.parameters()).device)
        self.key = key
        with local_rank_named(), accepted(config) as told:
            self.engine, self.optimizer, *_ = deepspeed.initialize(
                model=module, optimizer=optimizer, config=told, dist_init_required=False
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

    def shards(self) -> Mapping[str, Any]:
        """Return this rank's shard: tensors and numbers, where DeepSpeed's own files hold objects and run them."""
        if self._shard() != rank_and_size()[0]:
            return {}
        state = {"optimizer": self._inner.state_dict(), "weights": self._weights()}
        return {f"{self.key}-{self._shard():05d}.pt": state}

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint; see `Engine`."""
        file = folder / f"{self.key}-{self._shard():05d}.pt"
        with readable(file, WHAT):
            state = read_saved(file)
            load_optimizer(self._inner, state["optimizer"])
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

"""Engines: backward, clipping and optimizer step behind one small protocol."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn


class OptimizerOptions(BaseModel):
    """Adam with the constants of VQGAN training; the learning rate is a phase's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    betas: tuple[NonNegativeFloat, NonNegativeFloat] = (0.5, 0.9)
    weight_decay: NonNegativeFloat = 0.0
    clip: PositiveFloat = 1.0


class Engine(Protocol):
    """Forward goes through the module itself; the engine does backward and step."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a 0-d loss."""

    def step(self, lr: float) -> Tensor:
        """Clip, step with this learning rate, forget the gradients; return their norm before clipping, 0-d."""

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""


class PlainEngine:
    """One process, torch alone; resumes bit for bit.

    Args:
        module: Its trainable parameters are optimized.
        options: Of AdamW (Adam where `weight_decay` is 0).
    """

    def __init__(self, module: nn.Module, options: OptimizerOptions) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.clip = options.clip
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=0.0, betas=options.betas, weight_decay=options.weight_decay
        )

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a 0-d loss."""
        loss.backward()

    def step(self, lr: float) -> Tensor:
        """Clip, step with this learning rate, forget the gradients; return their norm before clipping, 0-d."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.optimizer.load_state_dict(state)

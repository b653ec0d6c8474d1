"""What each part of a training step keeps for its backward pass, on the meta device by the rules of CUDA."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Self

from torch import Tensor, nn

from regionloss.autoencoders.cuda_rules import CudaRules
from regionloss.compat.torch import MostBytes

#: What the backward pass has in work at once, beside what was kept for it.
WORK = "backward pass"


class StepLedger:
    """Counts the bytes of a step that is taken inside; nothing is computed, and no memory is taken.

    Gradients of weights are left out, since how long they are kept is the engine's affair: each is forgotten as soon as
    it is there. Kept 16-bit copies of weights belong to the part that made them.

    Args:
        weights: Weights whose gradients are forgotten.
        bf16: Whether as under autocast.
    """

    def __init__(self, weights: Iterable[nn.Parameter], bf16: bool) -> None:
        self.weights = list(weights)
        self.counted, self.rules = MostBytes(), CudaRules(bf16)
        self.kept: dict[str, int] = {}
        self._open: list[tuple[int, int]] = []  # of each part that is under way: bytes at its start, and of parts in it
        self._at_backward: dict[str, int] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for weight in self.weights:
            if weight.requires_grad:
                hook = weight.register_post_accumulate_grad_hook(forget)
                self._stack.callback(hook.remove)
        self._stack.enter_context(self.counted)
        self._stack.enter_context(self.rules)
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def watch(self, module: nn.Module, name: str) -> None:
        """Count what calls of a module keep as a part's, until the ledger is closed; parts within it have their own."""
        before = module.register_forward_pre_hook(lambda *_: self._begin())
        after = module.register_forward_hook(lambda *_: self._end(name))
        self._stack.callback(before.remove)
        self._stack.callback(after.remove)

    def _begin(self) -> None:
        self._open.append((self.counted.now, 0))

    def _end(self, name: str) -> None:
        before, inside = self._open.pop()
        kept = self.counted.now - before
        self.kept[name] = self.kept.get(name, 0) + kept - inside
        if self._open:
            self._open[-1] = (self._open[-1][0], self._open[-1][1] + kept)

    def backward(self, loss: Tensor) -> None:
        """Take the gradients of a loss, 0-d. What was kept until the first one stands in `by_part`."""
        if self._at_backward is None:
            self._at_backward = dict(self.kept)
        loss.backward()

    def by_part(self) -> dict[str, int]:
        """Return bytes by part; their sum is the most that was there at once."""
        kept = self.kept if self._at_backward is None else self._at_backward
        return {**kept, WORK: self.counted.most - sum(kept.values())}


def forget(weight: Tensor) -> None:
    """Forget the gradient of a weight."""
    weight.grad = None

"""What was seen of a loss in a training loop, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from regionloss.errors import expected
from regionloss.hosts.gradient_flow import other_range, sample_of, stopped

STEPS = 4  # of optimizers, after a loss was first called: two players take turns
LOOKS = 3  # calls of a loss whose values are looked at
CLAMPED = 0.01  # share of the pixels that may be clamped

DETACHED = "a detached one (.detach(), .data, no_grad, NumPy, 8 bits)"
MOVED = "Give the optimizer the parameters of the model that decodes, and zero_grad() its place after step()."


@dataclass
class Watched:
    """What was seen of a loss.

    Args:
        name: How sentences name it.
        calls: Number of its calls.
        live: Calls whose reconstruction takes a gradient.
        unrecorded: Calls under `no_grad` of a reconstruction that takes one.
        detached: Calls of a reconstruction that takes none, while gradients are on.
        signed: Calls whose target lies in [0, 1] where it should reach -1.
        weights: Gradients that reached the loss's value: what it was multiplied by on its way to `backward()`.
        steps: Steps of optimizers since its first call that trains.
        backward: Whether a gradient reached its reconstruction, from whatever loss.
        behind: Tensors that its reconstructions come from, each with a copy of some of its elements.
        faults: Sentences about its calls.
    """

    name: str
    calls: int = 0
    live: int = 0
    unrecorded: int = 0
    detached: int = 0
    signed: int = 0
    weights: list[Tensor] = field(default_factory=list)
    steps: int = 0
    backward: bool = False
    behind: list[tuple[Tensor, Tensor]] | None = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def look(self, reconstruction: Tensor, target: Tensor | None, value_range: Sequence[float] | None) -> None:
        """Look at the images of a call; reads values back from the device."""
        what, share = stopped(reconstruction)
        if what == "clamped" and share >= CLAMPED:
            advice = "Give the loss the reconstruction as it was before it was clamped."
            self.note("pixels that take a gradient", f"{share:.0%} of them clamped, which take none", advice)
        elif what and share == 1:
            advice = "Give the loss the reconstruction as it was before that."
            self.note("pixels that take a gradient", f"a reconstruction that was {what}", advice)
        if target is None or target.shape != reconstruction.shape:
            return
        if target.grad_fn is not None or torch.equal(target, reconstruction.detach()):
            got = "what a model made, whose gradient is not taken" if target.grad_fn else "the reconstruction itself"
            self.note("a target that is the image of the data", got, "The order is (reconstruction, target, regions).")
        elif value_range is not None and (seen := other_range(reconstruction, target, value_range)):
            advice = "Bring both into one range before they are compared."
            self.note(f"a reconstruction in the target's range, {shown(value_range)}", f"one in {seen}", advice)
        if value_range == (-1, 1):
            low, high = (float(value) for value in torch.aminmax(target.detach().float()))
            self.signed += 0 <= low < high <= 1

    def note(self, wanted: str, got: str, advice: str) -> None:
        """Keep a sentence."""
        sentence = expected(self.name, wanted, got, advice)
        self.faults += [] if sentence in self.faults else [sentence]

    def conclude(self) -> None:
        """Say what the calls have in common."""
        if not self.live and self.unrecorded:
            got = "no_grad in all of them, so that it trains nothing"
            self.note("calls with a gradient", got, "Leave torch.no_grad() to measures that nobody adds to a loss.")
        elif not self.live and self.detached:
            advice = "Give it what the decoder made; the order is (reconstruction, target, regions)."
            self.note("a reconstruction that takes a gradient", DETACHED, advice)
        elif not self.live:
            if self.calls and self.steps:
                self.note("calls with a gradient", "no_grad in all of them", "Call it where the model trains.")
        elif not self.weights and (self.backward or self.steps):
            advice = "Add its `total` itself: .item(), .detach() and logs carry no gradient."
            self.note("its value in the loss that goes backward", "a loss without it", advice)
        elif self.weights and not any(bool(weight.count_nonzero()) for weight in self.weights):
            self.note("a weight other than 0", "0 in every call", "Look at what its value is multiplied by.")
        elif self.weights and self.steps >= STEPS and self.behind and not any(moved(*one) for one in self.behind):
            got = f"none that changed in {self.steps} steps"
            if not any(isinstance(tensor, nn.Parameter) for tensor, _ in self.behind):
                got += ": no parameter at all, as after .detach().requires_grad_()"
            self.note("a reconstruction from parameters that an optimizer trains", got, MOVED)
        if self.signed >= LOOKS or (self.signed and self.signed == self.calls and self.steps):
            advice = "Multiply by 2 and subtract 1, or say value_range=(0, 1) where the loss is built."
            self.note("images in [-1, 1]", "images in [0, 1] in each call", advice)


def moved(tensor: Tensor, before: Tensor) -> bool:
    """Return whether a tensor has changed since `sample_of` copied some of it."""
    after = sample_of(tensor)
    return after.shape != before.shape or not torch.equal(after, before)


def shown(value_range: Sequence[float]) -> str:
    """Return `[0, 1]`."""
    return f"[{value_range[0]:g}, {value_range[1]:g}]"

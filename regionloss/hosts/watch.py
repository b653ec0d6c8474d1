"""A look at the first steps of a training loop: which losses train nothing, and why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook

from regionloss.compat.torch import in_backward
from regionloss.errors import InputError, expected
from regionloss.hosts.gradient_flow import is_image, leaves, sample_of, tensors_in
from regionloss.hosts.no_gradient import Untrained, marked
from regionloss.hosts.subclass import WithRegions, wrapping_of
from regionloss.hosts.verdict import LOOKS, STEPS, Watched
from regionloss.losses.region_perceptual import RegionPerceptualLoss
from regionloss.losses.terms import LossOutput, LossTerms
from regionloss.losses.whole_image import PerceptualLoss

LONG = 20  # steps after which a loss that was named and never called is missed


class GradientWatch:
    """What `watch_gradients` returns: a context manager, for the block that trains.

    Attributes:
        faults: Sentences about losses that train nothing.
    """

    def __init__(self, losses: Sequence[nn.Module], error: bool) -> None:
        self.error = error
        self.named = [inner(loss) for loss in losses]
        self.faults: list[str] = []
        self._watched: dict[nn.Module, Watched] = {}
        self._faces: dict[WithRegions, None] = {}
        self._unrecorded: list[str] = []
        self._handles: list[Any] = []
        self._steps = 0

    def __enter__(self) -> Self:
        self.close()
        self._watched, self._steps, Untrained.told = {}, 0, self.added
        self._handles += [register_module_forward_pre_hook(self.before)]
        self._handles += [register_optimizer_step_post_hook(self.stepped)]
        for loss in self.named:
            self.follow(loss)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        if kind is None and self._handles:
            self.conclude(ended=True)
        self.close()

    def __reduce__(self) -> Any:
        # A copy or a pickle of a loss that is watched is not watched.
        return GradientWatch, ((), self.error)

    def close(self) -> None:
        """Stop to watch: from then on a loop runs as without."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._faces.clear()
        Untrained.told = None

    def before(self, module: nn.Module, args: Any) -> None:
        """Look at a module that is about to be called."""
        if torch.compiler.is_compiling() or in_backward():
            return
        if isinstance(module, WithRegions):
            self._faces[module] = None
        elif isinstance(module, LossTerms | RegionPerceptualLoss):
            self.follow(module)
        elif not torch.is_grad_enabled() and (not args or any(map(takes_gradient, tensors_in(args)))):
            self._handles.append(module.register_forward_hook(self.unrecorded, with_kwargs=True))

    def follow(self, loss: nn.Module) -> None:
        """Watch the calls of a loss."""
        if loss not in self._watched and not idle(loss):
            self._watched[loss] = Watched(f"watch_gradients: {type(loss).__name__}")
            self._handles.append(loss.register_forward_hook(self.after, with_kwargs=True))

    def unrecorded(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """Mark what a module made under `no_grad` from a reconstruction that takes a gradient."""
        if torch.is_grad_enabled() or not any(map(takes_gradient, tensors_in(args, kwargs))):
            return None
        self._unrecorded.append(type(module).__name__)
        return marked(output)

    def added(self) -> None:
        """Say that such a value was added to a loss."""
        name = self._unrecorded[-1] if self._unrecorded else "a module"
        advice = "Take its call out of torch.no_grad(); the target's half alone may stay there."
        got = "a summand that was computed under no_grad and trains nothing"
        self.tell([expected(f"watch_gradients: {name}", "a loss of summands with a gradient", got, advice)])

    def after(self, loss: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        """Look at a call of a loss that is watched."""
        seen, ours = self._watched.get(loss), isinstance(loss, LossTerms | RegionPerceptualLoss)
        if seen is None or torch.compiler.is_compiling() or in_backward():  # None: a copy of a loss that is watched
            return
        images = [value for value in tensors_in(args, kwargs) if is_image(value)]
        reconstruction = images[0] if images else None
        if ours:
            named = dict(zip(("reconstruction", "target"), args, strict=False)) | dict(kwargs)
            reconstruction, target = named["reconstruction"], named["target"]
        else:
            reconstruction, target = next(filter(takes_gradient, images), reconstruction), None
        seen.calls += 1
        wanted = reconstruction is not None and reconstruction.requires_grad
        if not torch.is_grad_enabled():
            seen.unrecorded += wanted
        elif not wanted:
            seen.detached += 1
        elif reconstruction is not None:
            self.live(seen, reconstruction, output.total if isinstance(output, LossOutput) else output)
            if seen.live <= LOOKS:
                seen.look(reconstruction, target, range_of(loss) if ours else None)

    def live(self, seen: Watched, reconstruction: Tensor, output: Any) -> None:
        """Look at a call that trains: whether its value, and what it was made from, meet a gradient."""
        seen.live += 1
        value = next((one for one in tensors_in(output) if one.requires_grad), None)
        if value is None:
            seen.note("a value with a gradient", "one without", "Look for .detach() or no_grad inside the loss.")
            return
        value.register_hook(lambda gradient: seen.weights.append(gradient.detach()))
        reconstruction.register_hook(lambda _: setattr(seen, "backward", True))
        if seen.live > 2 or seen.behind is None:
            return
        ends = leaves(reconstruction)
        # A step in half precision may be too small to be seen.
        exact = [one for one in ends or () if one.dtype in (torch.float32, torch.float64)]
        seen.behind = None if ends is None else seen.behind + [(one, sample_of(one)) for one in exact]

    def stepped(self, *_: Any) -> None:
        """Count a step of an optimizer, and conclude once enough were seen."""
        self._steps += 1
        for seen in self._watched.values():
            seen.steps += bool(seen.calls)
        enough = [seen for seen in self._watched.values() if seen.steps >= STEPS]
        if (enough and len(enough) == len(self._watched)) or self._steps >= LONG:
            self.conclude()

    def conclude(self, ended: bool = False) -> None:
        """Say what was seen, and stop to watch."""
        faults = []
        for loss, seen in self._watched.items():
            seen.conclude()
            if not seen.calls and loss in self.named and self._steps:
                seen.note("calls of it in the loop", f"none in {self._steps} steps", missing(self._faces))
            faults += seen.faults
        for face in self._faces:
            own = wrapping_of(face)
            if own is not None and own.terms not in self._watched and not idle(own.terms) and self._steps:
                got = f"none in {self._steps} steps"
                faults.append(expected(f"watch_gradients: {own.name}", "regions for it", got, missing(self._faces)))
        self.close()
        self.tell(list(dict.fromkeys(faults)))

    def tell(self, faults: Sequence[str]) -> None:
        """Raise InputError of faults that are new, or warn of them."""
        new = [fault for fault in faults if fault not in self.faults]
        self.faults += new
        if not new:
            return
        if self.error:
            self.close()
            raise InputError("\n".join(new))
        for fault in new:
            warnings.warn(fault, stacklevel=3)


def takes_gradient(value: object) -> bool:
    """Return whether something is images that take a gradient."""
    return is_image(value) and isinstance(value, Tensor) and value.requires_grad


def inner(loss: Any) -> nn.Module:
    """Return the part of a loss that is called with the reconstruction."""
    if isinstance(loss, nn.parallel.DistributedDataParallel):
        return inner(loss.module)
    if isinstance(loss, WithRegions) and (own := wrapping_of(loss)) is not None:
        return own.terms
    if isinstance(loss, PerceptualLoss):
        return loss.loss
    if not isinstance(loss, nn.Module):
        advice = "For example regionloss.watch_gradients(terms, lpips)."
        raise InputError(expected("watch_gradients", "losses that are modules", type(loss).__name__, advice))
    return loss


def idle(loss: nn.Module) -> bool:
    """Return whether a loss is not meant to train: no term of it weighs anything."""
    return isinstance(loss, LossTerms) and not any(term.weight for term in loss.terms.values())


def range_of(loss: nn.Module) -> tuple[float, float] | None:
    """Return the range of images that a loss reads; None where its terms differ."""
    parts = [term.loss for term in loss.terms.values()] if isinstance(loss, LossTerms) else [loss]
    ranges = {tuple(part.value_range) for part in parts if isinstance(part, RegionPerceptualLoss)}
    return (float(min(found)), float(max(found))) if len(ranges) == 1 and (found := ranges.pop()) else None


def missing(faces: Mapping[WithRegions, None]) -> str:
    """Return what to do where region terms are not computed."""
    if faces:
        return "Call the loss inside `with regionloss.use_regions(regions):`, or bind_batch(model, key='regions')."
    return "Let the loop call what regionloss.wrap returned, or add terms(reconstruction, target, regions).total."


def watch_gradients(*losses: nn.Module, error: bool = True) -> GradientWatch:
    """Return a context manager for a training loop that names losses which train nothing, and says what to change.

    It looks at region terms, at losses that `wrap` returned, at the losses that are named, and at any module that
    compares images under `no_grad` and is then added to a loss. What it knows: no gradient at the reconstruction
    (detached, exchanged with the target, rounded), pixels that a clamp leaves without one, another range, a value that
    is not in the loss or is multiplied by 0, parameters that no optimizer moves, regions that are never published.
    After four steps of optimizers its hooks are gone, and with them its cost; a compiled model is compiled once more
    then. Gradients and values stay as they are.

    Args:
        losses: Losses that must train; a wrapped loss stands for its terms. None are needed for those of regionloss.
        error: Whether to raise; else to warn, once a fault.

    Raises:
        InputError: In the block, of the first fault; all at once where they are seen together.

    Example:
        >>> import torch, regionloss as rl
        >>> terms, model = rl.LossTerms({}), torch.nn.Conv2d(3, 3, 1)
        >>> with rl.watch_gradients() as watch:
        ...     image = torch.rand(1, 3, 8, 8)
        ...     (model(image) - image).abs().mean().backward()
        >>> watch.faults
        []
    """
    return GradientWatch(losses, error)

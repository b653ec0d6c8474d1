"""One call of a wrapped loss: its arguments -> the terms -> what it returns."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regionloss.checks import check_direction, check_images, check_range
from regionloss.compat.torch import in_backward
from regionloss.errors import InputError, expected
from regionloss.hosts.host_spec import HostSpec, element
from regionloss.hosts.published import BatchRegions, NothingPublished, published
from regionloss.losses.balance import balance_lines, equal_weights
from regionloss.losses.terms import LossTerms
from regionloss.tensors import full_precision, rescaled, without_autocast

TOTAL = "region/total"  # what is added to the host's loss
FAR = 100.0  # times the weight of equal gradients, from which on a term is warned of: networks that begin are 10 off
SILENT_CALLS = 20  # generator's turns without a word about regions, after which a loss says so


@dataclass(eq=False)
class Wrapping:
    """What a wrapped loss knows beside the host's own state.

    Args:
        host: The loss; shares its state with the wrapped one.
        spec: How the host's calls are read.
        terms: Region terms that are added to the host's loss.
        in_nll: Whether an adaptive weight sees the terms.
    """

    host: nn.Module
    spec: HostSpec
    terms: LossTerms
    in_nll: bool
    last_logs: dict[str, Tensor] = field(default_factory=dict)
    _published: bool = False
    _checked: bool = False
    _silent: int = 0
    _weighed: bool = False
    _unweighed: tuple[dict[str, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        self.name = type(self.host).__name__
        self.signature = inspect.signature(self.host.forward)
        self.terms_range = range_of_terms(self.terms)

    def measure(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
        """Return what the terms add to this call, 0-d; None where it is the host's alone."""
        arguments = self.arguments(args, kwargs)
        if arguments is None or not self.spec.is_generators(arguments):
            return None
        regions = published()
        silent = isinstance(regions, NothingPublished)
        if silent and self._published:
            self.refuse_checkpoint()
        self.last_logs, self._published = {}, not silent
        if isinstance(regions, NothingPublished):
            self.note_silence()
            regions = {} if "whole_image" in self.terms.kinds else None
        return None if regions is None else self.compute(arguments, regions)

    def compute(self, arguments: Mapping[str, Any], regions: BatchRegions) -> Tensor:
        """Return what the terms add on a generator's turn, 0-d; in full precision, whatever the host computes in."""
        target, reconstructions = self.images(arguments)
        self.check(target, regions)
        step = None if self.spec.step is None else step_of(arguments[self.spec.step], f"{self.name}: {self.spec.step}")
        with without_autocast(target):
            found = [self.terms(image, target, regions, step) for image in reconstructions]
            scale = target[0].numel() if self.spec.reduction == "sum_per_image" else 1
            total = mean([one.total for one in found]) * scale
        logs = {name: mean([one.logs[name] for one in found]) for name in found[0].logs}
        prefix = self.spec.prefix(arguments)
        self.last_logs = {prefix + name: value for name, value in (logs | {TOTAL: total.detach()}).items()}
        if not self._weighed and total.requires_grad and not torch.compiler.is_compiling():
            made = element(arguments, self.spec.reconstructions[0], self.name)
            # Once, met or not: ranks must pass a host's backward collectives equally often.
            self._weighed, self._unweighed = (
                True,
                ({name: scale * value for name, value in found[0].by_term.items()}, made),
            )
        return total

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the call's arguments by name; None for a call that the host itself will refuse."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        return bound.arguments

    def images(self, arguments: Mapping[str, Any]) -> tuple[Tensor, list[Tensor]]:
        """Return the target and the reconstructions in the range that the terms read."""
        named = []
        for place in (self.spec.target, *self.spec.reconstructions):
            value = element(arguments, place, f"{self.name}: {place}")
            several = isinstance(value, list | tuple) and place != self.spec.target
            named += [(place, folded(one)) for one in (value if several else (value,))]
        for name, value in named:
            check_is_image(value, f"{self.name}: {name}")
        target, *reconstructions = (value for _, value in named)
        for name, value in named[1:]:
            check_direction(value, target, f"{self.name}: reconstruction '{name}', target '{self.spec.target}'")
        if not self._checked and not torch.compiler.is_compiling() and self.spec.value_range != (-1, 1):
            check_range(target, self.spec.value_range, f"{self.name}: {self.spec.target}")
        self._checked = True
        converted = [
            rescaled(full_precision(image), self.spec.value_range, self.terms_range)
            for image in (target, *reconstructions)
        ]
        return converted[0], converted[1:]

    def check(self, target: Tensor, regions: BatchRegions) -> None:
        """Raise InputError for regions of another batch than this one."""
        for one in self.terms.by_kind(regions).values():
            if one.num_images not in (None, len(target)):
                where = f"{self.name}: regions['{one.kind}']"
                advice = "Publish the regions of each micro-batch around its own call."
                got = f"regions of {one.num_images}"
                raise InputError(expected(where, f"regions of {len(target)} images, as in the call", got, advice))

    def refuse_checkpoint(self) -> None:
        """Raise InputError where a backward pass computes a call again whose block of regions has ended."""
        if in_backward():
            got = "activation checkpointing, which computes the loss again without them"
            advice = "Leave the loss out of what is checkpointed, or call backward() inside the block."
            raise InputError(expected(self.name, "the regions of its first computation", got, advice))

    def note_silence(self) -> None:
        """Warn once of a loop that never publishes regions: the terms do nothing there."""
        if self._silent < 0 or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return
        self._silent += 1
        if self._silent == SILENT_CALLS and set(self.terms.kinds) - {"whole_image"}:
            warnings.warn(
                f"{self.name}: no regions were published in {SILENT_CALLS} calls, so its region terms add nothing. "
                "Call it inside `with regionloss.use_regions(regions):`, or, with Lightning, "
                "regionloss.bind_batch(model, key='regions').",
                stacklevel=4,
            )

    def say_balance(self, rest: Tensor) -> None:
        """Say once at which weights the terms would pull as strongly as the host's own loss; warn of one far above."""
        first, self._unweighed = self._unweighed, None
        if first is None or not isinstance(made := first[1], Tensor) or rest.ndim:
            return
        try:
            equal = equal_weights(rest, first[0], made)
        except RuntimeError:  # a host that checkpoints its own loss takes no second backward pass
            return
        for name, line in balance_lines(self.terms, equal).items():
            logging.getLogger("regionloss").info("%s: %s", self.name, line)
            weight = self.terms[name].weight
            if isinstance(weight, float | int) and 0 < FAR * equal[name] < weight:
                advice = f"Start near {equal[name]:.2g}."
                warnings.warn(f"{self.name}: {line}, so little else is trained. {advice}", stacklevel=5)

    def added(self, output: Any, total: Tensor) -> Any:
        """Return what the host returned, with the terms added to its loss and their logs to its logs.

        Raises:
            InputError: No loss where the specification says.
        """
        place = self.spec.loss
        if isinstance(output, Tensor) and place is None:
            self.say_balance(output)
            return output + total
        if isinstance(output, Mapping):
            key = "loss" if place is None else place
            if isinstance(output.get(key), Tensor):
                self.say_balance(output[key])
                return updated(output, {key: output[key] + total, **self.last_logs})
        elif isinstance(output, tuple | list):
            position = 0 if place is None else place
            if isinstance(position, int) and position < len(output) and isinstance(output[position], Tensor):
                parts = list(output)
                self.say_balance(parts[position])
                parts[position] = parts[position] + total
                return rebuilt(output, with_logs(parts, self.last_logs))
        wanted = "a loss, a tuple that starts with it, or a mapping with 'loss'"
        wanted = wanted if place is None else f"the loss at {place!r} of what it returns"
        advice = "Say where it is: HostSpec(..., loss=position or key)."
        raise InputError(expected(f"{self.name}.forward", wanted, type(output).__name__, advice))


def step_of(value: Any, where: str) -> int | None:
    """Return a training step, which may come as a number or as a 0-d tensor; raises InputError for anything else."""
    if value is None:
        return None
    with suppress(TypeError, ValueError, OverflowError, RuntimeError):
        if not isinstance(value, str | bytes) and bool((whole := int(value)) == value):
            return whole
    raise InputError(expected(where, "a training step, a whole number or None", repr(value)))


def folded(images: Any) -> Any:
    """Return (B T, 3, H, W) of videos (B, 3, T, H, W); anything else as it is."""
    is_video = isinstance(images, Tensor) and images.ndim == 5 and images.shape[1] == 3
    return images.transpose(1, 2).flatten(0, 1) if is_video else images


def check_is_image(value: Any, where: str) -> None:
    """Raise InputError for what has no regions: codes, tokens, features."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim < 3:
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        advice = "Codes and features have no regions: region terms compare images."
        raise InputError(expected(where, "images (B, 3, H, W)", got, advice))
    check_images(value, where)


def range_of_terms(terms: LossTerms) -> tuple[float, float]:
    """Return the range of images that all terms read. Raises InputError where they differ."""
    ranges = {tuple(term.loss.value_range) for term in terms.terms.values()} or {(-1.0, 1.0)}
    if len(ranges) > 1:
        raise InputError(expected("terms", "one value_range", " and ".join(map(str, sorted(ranges)))))
    low, high = ranges.pop()
    return low, high


def mean(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of 0-d tensors; a single one as it is."""
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean()


def updated(mapping: Mapping[Any, Any], values: Mapping[Any, Any]) -> Any:
    """Return a copy of a host's mapping, of its own type, with other values."""
    copied: Any = copy.copy(mapping)
    for key, value in values.items():
        copied[key] = value
    return copied


def with_logs(parts: list[Any], logs: Mapping[str, Tensor]) -> list[Any]:
    """Return the parts of a tuple with our logs in the first mapping among them."""
    first = next((i for i, part in enumerate(parts) if isinstance(part, Mapping)), None)
    if first is not None:
        parts[first] = updated(parts[first], logs)
    return parts


def rebuilt(output: tuple[Any, ...] | list[Any], parts: list[Any]) -> Any:
    """Return the parts as a tuple, list or named tuple like the host's."""
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)

"""Named region terms with weights: what a training loop calls."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from regionloss.checks import check_finite_value, check_pair, warn_of_none
from regionloss.detectors.whole_image import WholeImageDetector
from regionloss.errors import InputError, did_you_mean, expected
from regionloss.limits import number_of
from regionloss.losses.region_perceptual import RegionPerceptualLoss
from regionloss.reduction import Reduction, attached_zeros
from regionloss.regions.regions import Regions
from regionloss.schedules import Weight, WeightSchedule, check_weight, told, weight_at

SILENT_STEPS = 200  # steps without a region after which a term says so
CHECK_STEPS = 100  # values are read back from the device this seldom


@dataclass(frozen=True)
class Term:
    """One region loss in a sum.

    Args:
        loss: The loss whose value for a batch counts; reduced to the mean over images, whatever its own reduction.
        kind: The kind of region that it reads.
        weight: Factor of the loss, 0 or more; alpha in InsightTok, eq. 3. Or a schedule, such as a `WeightSchedule`:
            any callable from the number of steps since `start_step` to the factor.
        start_step: First step at which it counts.
    """

    loss: RegionPerceptualLoss
    kind: str
    weight: Weight = 1.0
    start_step: int = 0

    def weight_at(self, step: int | None, where: str = "the term's weight") -> float:
        """Return the weight at a training step, 0 before the first; None asks for one that never changes.

        Args:
            step: Training step, or None.
            where: How sentences name the weight.

        Raises:
            InputError: A weight that changes, and no step; or a schedule that gives no weight.
        """
        if step is not None and step < self.start_step:
            return 0.0
        return weight_at(self.weight, None if step is None else step - self.start_step, where)


@dataclass(frozen=True)
class LossOutput:
    """What region terms say of a batch.

    Args:
        total: 0-d, the weighted sum; attached to the graph even without regions.
        by_term: 0-d per term, before its weight.
        per_region: (R,) per term, each region's area-weighted distance, detached.
        logs: 0-d detached tensors under `region/...`.
    """

    total: Tensor
    by_term: dict[str, Tensor]
    per_region: dict[str, Tensor] = field(default_factory=dict)
    logs: dict[str, Tensor] = field(default_factory=dict)


class LossTerms(nn.Module):
    """Region terms by name; `total = sum_t weight_t * term_t` (InsightTok, eq. 3).

    Args:
        terms: Terms by name.

    Example:
        >>> import regionloss as rl
        >>> terms = rl.LossTerms({})
        >>> terms.kinds
        ()
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        if not isinstance(terms, Mapping):
            raise InputError(expected("terms", "a mapping of names to a Term each", type(terms).__name__))
        for name, term in terms.items():
            if not isinstance(term, Term):
                advice = "LossTerms.from_names({'text': 0.0025}) builds terms by name."
                raise InputError(expected(f"terms['{name}']", "a Term", type(term).__name__, advice))
            if not isinstance(term.loss, RegionPerceptualLoss):
                got = type(term.loss).__name__
                raise InputError(expected(f"terms['{name}'].loss", "a RegionPerceptualLoss", got))
            if not callable(term.weight):
                check_weight(term.weight, f"terms['{name}'].weight")
            number_of(term.start_step, f"terms['{name}'].start_step", "a step, 0 or more", 0, sys.maxsize, whole=True)
        self.terms = dict(terms)
        self.losses = nn.ModuleList(term.loss for term in self.terms.values())
        self._mean = Reduction("image_mean")
        self._silent = dict.fromkeys(self.terms, 0)
        self._calls = 0
        self._asked = False

    @classmethod
    def from_names(
        cls,
        weights: Mapping[str, float | WeightSchedule | None] | Iterable[str],
        *,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> LossTerms:
        """Return terms that installed plugins define, as `load_terms(["text", "face"])` does.

        Args:
            weights: Weight of each term, by name; or names alone, for the weights that the terms were registered with.
            value_range: Range of the images that the terms will see.

        Raises:
            UnknownNameError: No plugin defines such a term.
            WeightsError: The weights of its backbone are not here; the sentence says how to fetch them.
        """
        # The public door, and late: what knows names builds losses.
        import regionloss

        return regionloss.load_terms(weights, value_range=value_range)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of region that the terms read."""
        return tuple(sorted({term.kind for term in self.terms.values()}))

    def forward(
        self,
        reconstruction: Tensor,
        target: Tensor,
        regions: Mapping[str, Regions] | Regions | None,
        step: int | None = None,
    ) -> LossOutput:
        """Return the weighted sum of all terms and its parts.

        Args:
            reconstruction: (B, 3, H, W), RGB.
            target: (B, 3, H, W), RGB.
            regions: Regions by kind, or those of one kind; None for none.
            step: Training step, for terms that start late and weights that change; None counts every term.

        Raises:
            InputError: As for `RegionPerceptualLoss`; regions that are not given by kind; or no step for a weight that
                changes.
        """
        check_pair(reconstruction, target)
        if step is not None and not isinstance(step, int):
            raise InputError(expected("step", "a whole number or None", repr(step)))
        by_kind = self.by_kind(regions)
        zero = attached_zeros(reconstruction)
        by_term, per_region, logs = {}, {}, {}
        total = zero.sum()
        for name, term in self.terms.items():
            found = self.found(term, by_kind, target) if step is None or step >= term.start_step else None
            values = zero if found is None else term.loss.per_region(reconstruction, target, found)
            by_term[name] = self._mean(values, len(target))
            per_region[name] = values.detach()
            total = total + term.weight_at(step, f"terms['{name}'].weight") * by_term[name]
            logs[f"region/{name}"] = by_term[name].detach()
            logs[f"region/{name}_count"] = values.new_full((), len(values))
            if step is None or step >= term.start_step:
                self.note(name, len(values))
        logs["region/total"] = total.detach()
        self.ask(by_kind, step)
        self.check(by_term)
        return LossOutput(total, by_term, per_region, logs)

    def by_kind(self, regions: Mapping[str, Regions] | Regions | None) -> Mapping[str, Regions]:
        """Return regions by kind, whatever form they came in."""
        if regions is None:
            return {}
        if isinstance(regions, Regions):
            return {regions.kind: regions}
        if not isinstance(regions, Mapping):
            advice = "For example {'text': Regions(...)}."
            raise InputError(expected("regions", "a mapping of kind to Regions", type(regions).__name__, advice))
        for kind, value in regions.items():
            if not isinstance(value, Regions):
                advice = "Build them with regionloss.Regions or a detector."
                raise InputError(expected(f"regions['{kind}']", "Regions", type(value).__name__, advice))
            if value.kind != kind:
                raise InputError(expected(f"regions['{kind}'].kind", repr(kind), repr(value.kind)))
        return regions

    def found(self, term: Term, regions: Mapping[str, Regions], target: Tensor) -> Regions | None:
        """Return the regions that a term reads; whole-image terms need none given."""
        if term.kind == "whole_image" and term.kind not in regions:
            return WholeImageDetector().detect(target)
        return regions.get(term.kind)

    def ask(self, regions: Mapping[str, Regions], step: int | None) -> None:
        """Warn once of a first call with regions of kinds that no term reads, or one that trains without any."""
        if self._asked or torch.compiler.is_compiling():
            return
        weighed = [term for term in self.terms.values() if term.weight]
        begun = [term for term in weighed if step is None or step >= term.start_step]
        wanted = {term.kind for term in (weighed if regions else begun)} - {"whole_image"}
        self._asked = bool(regions or (wanted and torch.is_grad_enabled()))
        if not self._asked or not wanted or wanted & set(regions):
            return
        if regions:
            advice = did_you_mean(next(iter(regions)), wanted)
            warnings.warn(f"regions: no term reads kind {', '.join(map(repr, regions))}. {advice}", stacklevel=5)
        else:
            warn_of_none(f"{{'{min(wanted)}': Regions(...)}}", stacklevel=5)

    def check(self, by_term: Mapping[str, Tensor]) -> None:
        """Look for values gone bad, every `CHECK_STEPS` calls."""
        if torch.compiler.is_compiling():
            return
        if self._calls % CHECK_STEPS == 0:
            for name, value in by_term.items():
                check_finite_value(value, f"term '{name}'")
        self._calls += 1

    def note(self, name: str, count: int) -> None:
        """Warn once about a term that counts and has met no region for long: the data may not carry its kind."""
        if torch.compiler.is_compiling() or not self.terms[name].weight:
            return
        self._silent[name] = 0 if count else self._silent[name] + 1
        if self._silent[name] == SILENT_STEPS:
            kind = self.terms[name].kind
            warnings.warn(
                f"term '{name}': no region of kind '{kind}' in {SILENT_STEPS} steps. Does the data carry that kind?",
                stacklevel=3,
            )

    def __getitem__(self, name: str) -> Term:
        if name not in self.terms:
            raise InputError(f"no term is named '{name}'. {did_you_mean(name, self.terms)}")
        return self.terms[name]

    def extra_repr(self) -> str:
        """Show name, kind and weight of each term."""
        return ", ".join(f"{name}: {told(term.weight)} x {term.kind}" for name, term in self.terms.items())

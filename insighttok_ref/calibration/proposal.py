"""From how strongly losses pull to weights: what a term is compared with, and the weight that makes them equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from insighttok_ref.calibration.measurement import REST, Pulls
from regionloss.errors import RegionLossError, WeightsError
from regionloss.losses import LossTerms, told
from regionloss.recipe import build_detectors, build_terms, load_choice

#: The text term of the paper's set-up; where its weights are not to be had, the packaged one at the weight of
#: studies/text_weight, which was measured to pull about as strongly as all other losses there.
STANDARDS = (
    ("text/paper=1", "the text term of the paper's set-up, alpha = 1"),
    ("text/packaged=0.0025", "the packaged text term as it was measured, in place of the paper's"),
)
AUTO = "auto"


class Standard(NamedTuple):
    """A term that others are compared with: what it is, and how regions for it are found."""

    what: str
    terms: LossTerms
    detectors: dict[str, Any]


class Reference(NamedTuple):
    """What terms are made as strong as: words for it, and its strength for a term."""

    what: str
    strength: Callable[[Pulls], float]


class Proposal(NamedTuple):
    """A term's strength at weight 1, the reference's, and the weight that makes them equal; NaN where it cannot."""

    name: str
    strength: float
    wanted: float
    weight: float


def standards(reference: str, measured: Collection[str] = ()) -> tuple[Standard | None, list[str]]:
    """Return the term that others are compared with, and sentences about those that cannot be built.

    Args:
        reference: `auto`, `rest` (none: the losses of whole images), or `NAME=WEIGHT`.
        measured: Canonical names of the terms that are measured: `auto` takes none of them, as it would be proposed the
            weight that it has, whatever the images.

    Raises:
        RegionLossError: A term that is named cannot be built.
    """
    if reference == REST:
        return None, []
    if reference != AUTO:
        return _standard(reference, "as asked for"), []
    reasons: list[str] = []
    for name, what in STANDARDS:
        if name.partition("=")[0] in measured:
            reasons.append(f"{name} is not the reference: it is among the terms that are measured.")
            break
        try:
            return _standard(name, what), reasons
        except WeightsError:
            reasons.append(f"{name} is not the reference: its weights are not here (see 'regionloss weights list').")
        except RegionLossError as error:
            reasons.append(f"{name} is not the reference: {str(error).splitlines()[0]}")
    return None, reasons


def _standard(choice: str, what: str) -> Standard:
    loaded = load_choice(choice, "--reference")
    name = next(iter(loaded.recipe.terms))
    terms = build_terms(loaded)
    try:
        detectors = build_detectors(loaded)
    except RegionLossError:
        # Its regions do not depend on who finds them; the paper's detector is harder to get than its network.
        detectors = build_detectors(load_choice(terms[name].kind))
    return Standard(f"{name} at weight {told(terms[name].weight)} ({what})", terms, detectors)


def reference_of(standard: Standard | None, measured: list[Pulls], rows: list[Pulls], field: str) -> Reference | None:
    """Return what terms are made as strong as; None where the sample has nothing for the standard.

    Args:
        standard: Name of one of the `standards`; None for the losses of whole images.
        measured: Rows of the standard.
        rows: The rows of the terms' own sample.
        field: Field of `Pull` that strength is measured in.
    """
    if standard is None:
        rest = next(row for row in rows if row.group == "rest")

        def beside(term: Pulls) -> float:
            return rest.quartiles(field, {pull.image for pull in term.found}).median

        return Reference(f"{rest.name}, in the images that have regions for the term", beside)
    term = next(row for row in measured if row.group == "term")
    if not term.found:
        return None
    strength = term.weight * term.quartiles(field).median
    many = "1 image" if len(term.found) == 1 else f"{len(term.found)} images"
    return Reference(f"{standard.what}, over {many}", lambda _: strength)


def propose(rows: list[Pulls], reference: Reference, field: str) -> list[Proposal]:
    """Return for each term the weight at which the median of its gradient norm is that of the reference."""
    proposals = []
    for row in rows:
        if row.group == "term":
            strength, wanted = row.quartiles(field).median, reference.strength(row)
            weight = wanted / strength if strength > 0 else math.nan
            proposals.append(Proposal(row.name, strength, wanted, weight))
    return proposals

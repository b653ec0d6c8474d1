"""Runs the contract of each component's kind, as `regionloss.testing.contracts` has it, on the component itself."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError, WeightsError
from ..hooks.catalogue import Catalogue
from ..hooks.parts import PARTS, chosen_parts
from ..hooks.records import Component, TermRecord
from .plugin_findings import MISSING, OK, UNTRIED, Finding

#: Kind of component -> its class in `regionloss.testing.contracts`.
CONTRACTS = {
    "detector": "DetectorContract",
    "extractor": "RegionExtractorContract",
    "backbone": "FeatureBackboneContract",
    "distance": "DistanceContract",
    "weighting": "AreaWeightingContract",
    "judge": "JudgeContract",
}


def contract_findings(known: Catalogue, component: Component, target: Any, part: str) -> Iterator[Finding]:
    """Yield which tests of its kind's contract a component fails, or one line that it passes all.

    Args:
        known: The plugins.
        component: The component, built with the options of the first term that uses it, else with none.
        target: What it was imported as.
        part: How the lines call it.
    """
    if component.kind not in CONTRACTS:
        return
    if component.kind == "detector" and not getattr(target, "kind", True):
        yield Finding(MISSING, part, "its 'kind' is empty. State the kind of its regions.")
    options, keypoints, kind = _used(known, component)
    try:
        built = known.build(component.kind, component.canonical, options)
    except WeightsError as error:
        yield Finding(UNTRIED, part, str(error))
        return
    except ImportError as error:
        yield Finding(UNTRIED if component.extra else MISSING, part, f"it cannot be built: {_said(error)}.")
        return
    except InputError as error:
        yield Finding(UNTRIED, part, f"{error} Register a term that gives its options, or test it in tests/.")
        return
    except Exception as error:
        yield Finding(
            MISSING, part, f"it cannot be built: {_said(error)}. A constructor only checks and keeps options."
        )
        return
    yield from _run(component, built, kind, keypoints, part)


def _run(component: Component, built: Any, kind: str, keypoints: int, part: str) -> Iterator[Finding]:
    from ..testing import contracts

    base = getattr(contracts, CONTRACTS[component.kind])
    body = {"make": lambda self: built, "kind": kind, "keypoints": keypoints}
    contract = type("Contract", (base,), body)()
    tests = {name: test for name, test in inspect.getmembers(contract, inspect.ismethod) if name.startswith("test_")}
    failed = 0
    for name, test in tests.items():
        reason = _failure(test)
        if reason:
            failed += 1
            law = (inspect.getdoc(test) or name).splitlines()[0].rstrip(".")
            yield Finding(MISSING, part, f"{CONTRACTS[component.kind]}.{name}: {law}. It does not hold: {reason}.")
    if not failed:
        yield Finding(OK, part, f"it keeps its contract ({CONTRACTS[component.kind]}, {len(tests)} tests)")


def _failure(test: Callable[[], object]) -> str:
    """Return why a test fails, in one line; nothing if it passes."""
    try:
        test()
    except AssertionError as error:
        line = traceback.extract_tb(error.__traceback__)[-1].line or ""
        return next((text.rstrip(".:") for text in str(error).splitlines() if text), line)
    except Exception as error:
        return _said(error)
    return ""


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"


def _used(known: Catalogue, component: Component) -> tuple[dict[str, Any], int, str]:
    """Return a component's options, keypoints and region kind in the first of its plugin's terms that uses it."""
    for term in known.terms():
        if term.plugin == component.plugin and component.kind in PARTS:
            part = chosen_parts(term, {})[component.kind]
            if part.name in (component.name, component.canonical):
                return dict(part.options), _keypoints(known, term.kind), term.kind
    return {}, 0, "text"


def _keypoints(known: Catalogue, kind: str) -> int:
    try:
        return len(known.region_kind(kind).keypoints)
    except LookupError:
        return 0


def term_findings(known: Catalogue, term: TermRecord, part: str) -> Iterator[Finding]:
    """Yield whether a term can be built, and is a loss: 0 for equal images, with a gradient elsewhere."""
    import torch

    from ..recipe.build import build_term
    from ..recipe.schema import TermUse
    from ..testing.fakes import grid_regions, noise_images

    try:
        loss = build_term(TermUse(use=term.canonical), known).loss
        target, regions = noise_images(), grid_regions(term.kind, keypoints=_keypoints(known, term.kind))
        reconstruction = noise_images(seed=1).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(reconstruction, target, regions), reconstruction)
        same = float(loss(target, target, regions))
    except WeightsError as error:
        yield Finding(UNTRIED, part, str(error))
    except Exception as error:
        yield Finding(MISSING, part, f"its parts do not fit together: {_said(error)}.")
    else:
        if same != 0:
            yield Finding(MISSING, part, f"expected 0 for equal images, got {same:.3g}. Look at backbone and distance.")
        elif not bool(gradient.isfinite().all()) or not bool(gradient.abs().sum() > 0):
            yield Finding(
                MISSING, part, "expected a finite gradient in the image, got none. Look for .detach(), no_grad."
            )
        else:
            yield Finding(OK, part, f"0 for equal images, and a gradient for others; licence {term.licence}")

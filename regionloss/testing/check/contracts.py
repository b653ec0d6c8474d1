"""Runs the contract of each component's kind, as `regionloss.testing.contracts` has it, on the component itself."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from regionloss.console.tables import counted
from regionloss.errors import InputError, RegionLossError, WeightsError, in_one_line
from regionloss.hooks.catalogue import Catalogue
from regionloss.hooks.records import Component, TermRecord
from regionloss.hooks.term_parts import PARTS, chosen_parts
from regionloss.hooks.validation import short
from regionloss.testing.check.findings import ADVICE, MISSING, OK, UNTRIED, Finding
from regionloss.testing.check.pictures import own_pictures

#: Kind of component -> its class in `regionloss.testing.contracts`.
CONTRACTS = {
    "detector": "DetectorContract",
    "extractor": "RegionExtractorContract",
    "backbone": "FeatureBackboneContract",
    "distance": "DistanceContract",
    "weighting": "AreaWeightingContract",
    "judge": "JudgeContract",
    "host": "HostContract",
    "trainer": "TrainerContract",
    "quantizer": "QuantizerContract",
    "command": "CommandContract",
}
#: What a tokenizer would say to a quantizer.
CODES = {"codebook_size": 16, "code_dim": 4}
#: Kinds whose contract is about what the target names, not about an object built from it.
AS_NAMED = ("host", "trainer", "command")


def contract_findings(
    known: Catalogue, component: Component, target: Any, part: str, tests: Path | None
) -> Iterator[Finding]:
    """Yield which tests of its kind's contract a component fails, or one line that it passes all.

    Args:
        known: Catalogue of the plugins that are installed.
        component: The component, built with the options of the first term that uses it, else with none.
        target: What it was imported as.
        part: How the lines call it.
        tests: Folder of the project's tests; None where the plugin is no project.
    """
    if component.kind not in CONTRACTS:  # tokenizers, discriminators, losses: what they take is the trainer's to say
        return
    if component.kind in AS_NAMED:
        yield from _run(CONTRACTS[component.kind], target, part)
        return
    if component.kind == "detector" and not getattr(target, "kind", True):
        yield Finding(MISSING, part, "its 'kind' is empty. State the kind of its regions.")
    options, keypoints, kind = _used(known, component)
    options |= CODES if component.kind == "quantizer" else {}
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
    # A plugin is a stranger's code, and may raise anything.
    except (Exception, SystemExit) as error:
        yield Finding(
            MISSING, part, f"it cannot be built: {_said(error)}. A constructor only checks and keeps options."
        )
        return
    found = list(_run(CONTRACTS[component.kind], built, part, kind=kind, keypoints=keypoints))
    empty = component.kind == "detector" and found[0].state == OK and _finds_nothing(built)
    yield from _with_own_pictures(built, part, tests) if empty else found


def _finds_nothing(detector: Any, images: Any = None) -> bool:
    from regionloss.testing.fakes import noise_images

    return len(detector.detect(noise_images() if images is None else images)) == 0


def _with_own_pictures(detector: Any, part: str, tests: Path | None) -> Iterator[Finding]:
    """Hold a detector that found nothing so far to its contract on the pictures of its project's own tests."""
    images, place = own_pictures(tests, detector) if tests else (None, "")
    name, where = CONTRACTS["detector"], "the check's pictures"
    if images is not None:
        where = f"the pictures of {place}"
        found = list(_run(name, detector, part, f", on {where}", images=lambda self: images.clone()))
        if found[0].state != OK or not _finds_nothing(detector, images):
            yield from found
            return
    trouble = place if images is None else ""
    who = "tests/test_contracts.py" if tests else f"a test of {name}"
    advice = f"Give {who} images() in which it finds some."
    yield Finding(ADVICE, part, f"it found nothing in {where}, so most tests of {name} were empty{trouble}. {advice}")


def _run(name: str, made: Any, part: str, note: str = "", **settings: Any) -> Iterator[Finding]:
    """Yield what a contract says of what was made; `note` ends the line if it is kept."""
    from regionloss.testing import contracts

    contract = type("Contract", (getattr(contracts, name),), {"make": lambda self: made, **settings})()
    tests = {test: method for test, method in inspect.getmembers(contract, inspect.ismethod) if test[:5] == "test_"}
    failed = 0
    for test, method in tests.items():
        reason = _failure(method)
        if reason:
            failed += 1
            law = (inspect.getdoc(method) or test).splitlines()[0].rstrip(".")
            yield Finding(MISSING, part, f"{name}.{test}: {law}. It does not hold: {reason}.")
    if not failed:
        yield Finding(OK, part, f"it keeps its contract ({name}, {counted(len(tests), 'test')}){note}")


def _failure(test: Callable[[], object]) -> str:
    """Return why a test fails, in one line; nothing if it passes."""
    try:
        test()
    except AssertionError as error:
        line = traceback.extract_tb(error.__traceback__)[-1].line or ""
        return next((text.rstrip(".:") for text in str(error).splitlines() if text), line)
    except (Exception, SystemExit) as error:
        return _said(error)
    return ""


def _said(error: BaseException) -> str:
    return short(in_one_line(error), 300)


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
    except RegionLossError:
        return 0


def term_findings(known: Catalogue, term: TermRecord, reads: str, part: str) -> Iterator[Finding]:
    """Yield whether a term that reads this kind can be built, with a detector of it, and keeps a term's contract."""
    from regionloss.recipe.build import build_term, detector_of
    from regionloss.recipe.options import kind_found
    from regionloss.recipe.schema import TermUse

    use = TermUse(use=term.canonical, kind=reads)
    try:
        built = build_term(use, known)
        if term.detector and not kind_found(chosen_parts(term, {})["detector"], known):
            detector_of(use, known)
    except WeightsError as error:
        yield Finding(UNTRIED, part, str(error))
    except (Exception, SystemExit) as error:
        yield Finding(MISSING, part, f"its parts do not fit together: {_said(error)}.")
    else:
        keypoints = _keypoints(known, built.kind)
        yield from _run("TermContract", built, part, f", licence {term.licence}", keypoints=keypoints)

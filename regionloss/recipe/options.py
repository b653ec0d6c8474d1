"""Names and options in a recipe against what is registered: each mistake, with the path that leads to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from regionloss.errors import RegionLossError, UnknownNameError, did_you_mean, expected
from regionloss.hooks.catalogue import Catalogue, catalogue, load_target
from regionloss.hooks.options import checked_options
from regionloss.hooks.records import TermRecord
from regionloss.hooks.term_parts import PARTS, ChosenPart, chosen_parts
from regionloss.hooks.validation import PartError, Path, Problem
from regionloss.recipe.schema import WEIGHTED_SUM


def component_problems(data: Any, catalogue: Catalogue) -> Iterator[Problem]:
    """Yield what is wrong with the names and options in `data`.

    Works on the data as it was written, so that mistakes elsewhere in the recipe do not hide those here.
    """
    if not isinstance(data, dict):
        return
    for name, term in _mapping(data.get("terms")).items():
        if isinstance(term, dict) and isinstance(term.get("use"), str):
            yield from term_problems(term, ("terms", name), catalogue)
    trainer = _mapping(data.get("trainer"))
    if isinstance(trainer.get("name"), str):
        options = _mapping(trainer.get("options"))
        yield from part_problems("trainer", trainer["name"], options, ("trainer",), catalogue)


def term_problems(term: dict[str, Any], path: Path, catalogue: Catalogue) -> Iterator[Problem]:
    """Yield what is wrong with the names and options of one term."""
    try:
        record = catalogue.term(term["use"])
    except RegionLossError as error:
        yield Problem((*path, "use"), str(error), type(error))
        return
    reads = term.get("kind")
    yield from _kind_problems(reads, record, path, catalogue)
    changes = {kind: as_change(term[kind]) for kind in PARTS if term.get(kind) is not None}
    parts = chosen_parts(record, changes, reads if isinstance(reads, str) else None)
    for kind, part in parts.items():
        if part.name:
            found = part_problems(kind, part.name, part.options, (*path, kind), catalogue, part.plugin)
            if isinstance(term.get(kind), list):
                found = (replace(problem, path=as_written(problem.path, len(path) + 1)) for problem in found)
            yield from found if kind != "detector" else (_spared(problem, kind in changes) for problem in found)
    finds = kind_found(parts["detector"], catalogue)
    if finds and finds != (reads or record.kind):
        place = "detector" if "detector" in changes else "use"
        yield Problem((*path, place), other_kind(parts["detector"].name, finds, str(reads or record.kind)))


def part_problems(
    kind: str, name: str, options: Any, path: Path, catalogue: Catalogue, plugin: str = ""
) -> Iterator[Problem]:
    """Yield what is wrong with one component: its name, its import, its options."""
    try:
        component = catalogue.find(kind, name, plugin=plugin)
        target = load_target(component)
        options = component.options(options)
    except RegionLossError as error:
        yield Problem((*path, "name"), str(error), type(error))
        return
    with catalogue.in_use():
        problems = checked_options(target, options)[1]
    for problem in problems:
        yield Problem((*path, "options", *problem.path), problem.sentence, problem.cause)


def check_part(kind: str, name: str, options: Mapping[str, Any]) -> None:
    """Check a component that an option of another component names, among what the catalogue in use has.

    Args:
        kind: Kind of the component.
        name: Name of the component, as `Catalogue.find` takes it.
        options: Options of the component's constructor.

    Raises:
        PartError: It is not registered, cannot be imported or has no such options.
    """
    problems = list(part_problems(kind, name, dict(options), (), catalogue()))
    if problems:
        raise PartError(problems)


def _spared(problem: Problem, named: bool) -> Problem:
    """Training can do without a detector; a name that the recipe misspells is a mistake all the same."""
    if problem.cause is None or (named and issubclass(problem.cause, UnknownNameError)):
        return problem
    advice = "Training on side-cars goes without it; 'regionloss annotate' needs it."
    return replace(problem, sentence=f"{problem.sentence} {advice}", spare=True)


def kind_found(detector: ChosenPart, catalogue: Catalogue) -> str:
    """Return the kind of region that a term's detector finds; empty where there is none, or only building it tells.

    Its option of that name says so, else its class: no network is loaded.
    """
    try:
        target = catalogue.load("detector", detector.name, plugin=detector.plugin)
    except RegionLossError:
        return ""
    option = inspect.signature(target).parameters.get("kind")
    value = detector.options.get("kind", option.default) if option else None
    for kind in (value, getattr(target, "kind", None)):
        if isinstance(kind, str) and kind:
            return kind
    return ""


def other_kind(detector: str, found: str, reads: str) -> str:
    """Return the sentence for a detector of another kind than its term's."""
    advice = "Name another detector, or the kind that this one finds."
    return expected(f"detector '{detector}'", f"one that finds '{reads}', as the term reads", f"'{found}'", advice)


def as_change(given: Any) -> tuple[str | None, dict[str, Any]]:
    """Read a part leniently; what is wrong with its form is the schema's to say."""
    if isinstance(given, str):
        return given, {}
    if isinstance(given, list):
        return WEIGHTED_SUM, {"parts": given}
    given = _mapping(given)
    name = given.get("name")
    return name if isinstance(name, str) else None, _mapping(given.get("options"))


def as_written(path: Path, depth: int) -> Path:
    """Return the path in a list of distances for one in the options that the list stands for."""
    return (*path[:depth], *path[depth + 2 :])


def _kind_problems(kind: Any, record: TermRecord, path: Path, catalogue: Catalogue) -> Iterator[Problem]:
    if kind is None and not record.kind:
        known = did_you_mean("", (known.name for known in catalogue.region_kinds()))
        yield Problem(
            (*path, "use"), f"expected 'kind' beside it, since '{record.name}' reads any kind, got none. {known}"
        )
        return
    if kind is not None and not isinstance(kind, str):
        return
    try:
        catalogue.region_kind(kind or record.kind)
    except RegionLossError as error:
        yield Problem((*path, "kind" if kind else "use"), str(error), type(error))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

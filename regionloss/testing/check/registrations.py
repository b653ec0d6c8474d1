"""What a plugin registers: names that resolve, targets that import, docstrings, licences, weight files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from regionloss.errors import PluginError, RegionLossError, WeightsError
from regionloss.hooks.catalogue import Catalogue, load_target
from regionloss.hooks.records import Component, Plugin, RegionKind, Registered, TermRecord, WeightRecord
from regionloss.hooks.term_parts import chosen_parts
from regionloss.testing.check.contracts import contract_findings, term_findings
from regionloss.testing.check.findings import ADVICE, MISSING, OK, UNTRIED, Finding


def registered_findings(
    known: Catalogue, plugin: Plugin, own: Sequence[Registered], tests: Path | None = None
) -> Iterator[Finding]:
    """Yield a line or more for everything that `plugin` registers.

    Args:
        known: What is installed, and what the plugin registers.
        plugin: The plugin that is checked.
        own: What this plugin registers.
        tests: Folder of its project's tests; None where it is no project.
    """
    kinds = [record.name for record in own if isinstance(record, RegionKind)]
    for sentence in known.clashes():
        if sentence.startswith((f"plugin '{plugin.name}' ", *(f"region kind '{kind}' " for kind in kinds))):
            yield Finding(MISSING, "names", sentence)
    yield from _shared_names(known, own)
    for record in own:
        if isinstance(record, Component):
            yield from _component(known, record, tests)
        elif isinstance(record, TermRecord):
            yield from _term(known, record)
        elif isinstance(record, WeightRecord):
            yield from _weights(record)


def _shared_names(known: Catalogue, own: Sequence[Registered]) -> Iterator[Finding]:
    for record in own:
        if isinstance(record, Component):
            same = [c.canonical for c in known.components(record.kind) if c.name == record.name]
            others = [name for name in same if name != record.canonical]
            if others:
                sentence = f"{', '.join(others)} has this bare name too. Recipes have to write '{record.canonical}'."
                yield Finding(ADVICE, _part(record), sentence)


def _part(record: Registered) -> str:
    if isinstance(record, Component):
        return f"{record.kind} '{record.name}'"
    return f"{'term' if isinstance(record, TermRecord) else 'weight file'} '{record.name}'"


def _component(known: Catalogue, component: Component, tests: Path | None) -> Iterator[Finding]:
    part = _part(component)
    for name in component.weights:
        try:
            known.weight(name, plugin=component.plugin)
        except RegionLossError as error:
            yield Finding(MISSING, part, f"{error} Register it with register_weights.")
    try:
        target = load_target(component)
    except PluginError as error:
        # What an extra would bring is no fault of the plugin's.
        lacking = component.extra and error.__cause__ is not None
        yield Finding(UNTRIED if lacking else MISSING, part, str(error))
        return
    if _documented(target):
        yield Finding(OK, part, f"{component.target}, licence {component.licence}")
    else:
        wanted = "one sentence, then its arguments with ranges and units"
        yield Finding(MISSING, part, f"{component.target} has no docstring. Write {wanted}.")
    yield from contract_findings(known, component, target, part, tests)


def _documented(target: Any) -> bool:
    if not (inspect.isclass(target) or inspect.isroutine(target)):
        return True  # an object, a host's specification say, is described by its summary
    return bool((target.__doc__ or "").strip()) and not (target.__doc__ or "").startswith(f"{target.__name__}(")


def _term(known: Catalogue, term: TermRecord) -> Iterator[Finding]:
    from regionloss.recipe.options import kind_found, term_problems

    # A term of no kind is tried with the one that its detector finds, or with text.
    reads = term.kind or kind_found(chosen_parts(term, {})["detector"], known) or "text"
    problems = list(term_problems({"use": term.canonical, "kind": reads}, (), known))
    for problem in problems:
        yield Finding(MISSING, _part(term), str(problem))
    if not problems:
        yield from term_findings(known, term, reads, _part(term))


def _weights(record: WeightRecord) -> Iterator[Finding]:
    from regionloss.weights.cache import sha256_of
    from regionloss.weights.in_packages import of_its_own
    from regionloss.weights.locate import find, missing

    part, file = _part(record), find(record)
    if record.licence.lower().startswith("not stated"):
        yield Finding(ADVICE, part, "its makers state no licence. Ask them, and say in the README what is known.")
    if file is None and of_its_own(record):
        yield Finding(MISSING, part, missing(record))
    elif file is None:
        unknown = (
            "" if record.sha256 else ", and its hash is not known: state it (sha256sum FILE) once you have the file"
        )
        advice = f"Run 'regionloss weights fetch {record.canonical}'{unknown}."
        yield Finding(UNTRIED, part, f"it is not on this machine. {advice}")
    elif not record.sha256:
        advice = f"Write sha256={sha256_of(file)!r}, so that no other file can take its place."
        yield Finding(MISSING, part, f"its hash is not stated. {advice}")
    else:
        yield _verified(record, part)


def _verified(record: WeightRecord, part: str) -> Finding:
    from regionloss.weights.locate import locate

    try:
        file = locate(record)
    except WeightsError as error:
        return Finding(MISSING, part, str(error))
    if record.size != file.stat().st_size and not record.needs_conversion:
        return Finding(MISSING, part, f"its size is {file.stat().st_size}, not {record.size}. Write size= that.")
    return Finding(OK, part, f"{record.filename}, licence {record.licence}")

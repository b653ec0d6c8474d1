"""From a validated recipe to the objects that train."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regionloss.errors import InputError, RecipeError, all_made, expected
from regionloss.hooks.catalogue import Catalogue, catalogue, load_target
from regionloss.hooks.records import TermRecord
from regionloss.hooks.term_parts import ChosenPart, chosen_parts
from regionloss.limits import is_number
from regionloss.recipe.load import Loaded, load_any
from regionloss.recipe.locate import known_recipes
from regionloss.recipe.options import other_kind
from regionloss.recipe.schema import AUTO, Recipe, TermsFile, TermUse, TermWeight
from regionloss.recipe.source import WrittenRecipe
from regionloss.schedules import WeightSchedule

if TYPE_CHECKING:
    from regionloss.losses.terms import LossTerms, Term

#: Parts that decide how strongly a term pulls: its registered weight is that of its own ones.
WEIGHED = ("backbone", "distance", "weighting")


def load_terms(
    terms: str | Path | Mapping[str, TermWeight | None] | Iterable[str],
    *,
    overrides: Iterable[str] = (),
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> LossTerms:
    """Build the terms that a file lists (`version` and `terms` as in a recipe), or that installed plugins define.

    Args:
        terms: Path of a file of terms or of a recipe; name of a shipped recipe; names of terms with commas between,
            perhaps with weights (`"text=0.0025,face"`), or a list of them; or weights by name. A term without a weight
            has the one that it was registered with.
        overrides: `key.path=value` each, for a file.
        value_range: Range of the images that the terms will see.

    Raises:
        RecipeError: All that is wrong with the file, a line each.
        UnknownNameError: There is neither a term nor a recipe of such a name.
        InputError: A weight that is none.
        WeightsError: The weights of a backbone are not here; the sentence says how to fetch them.
    """
    return build_terms(_load_terms(terms, overrides, "terms"), value_range=value_range)


def load_choice(
    choice: str | Path | Mapping[str, float], option: str = "--terms"
) -> Loaded[Recipe] | Loaded[TermsFile]:
    """Load the terms that a command line names, as `load_terms` does, without building them; at least one.

    Args:
        choice: Choice of terms, as for `load_terms`.
        option: How sentences name it.
    """
    loaded = _load_terms(choice, (), option)
    if not loaded.recipe.terms:
        raise InputError(expected(option, "terms", f"'{choice}', which has none"))
    return loaded


def _load_terms(
    terms: str | Path | Mapping[str, TermWeight | None] | Iterable[str], overrides: Iterable[str], where: str
) -> Loaded[Recipe] | Loaded[TermsFile]:
    if not isinstance(terms, str | os.PathLike | Mapping | list | tuple):
        wanted = "a path, names of terms, or weights by name such as {'text': 0.0025}"
        raise InputError(expected(where, wanted, type(terms).__name__))
    if isinstance(overrides, str) or not isinstance(overrides, Iterable):
        wanted = "texts such as ['terms.text.weight=0.01']"
        raise InputError(expected("overrides", wanted, type(overrides).__name__))
    if isinstance(terms, os.PathLike) or (isinstance(terms, str) and _is_file(terms)):
        return load_any(terms, overrides)
    if isinstance(terms, str):
        terms = _weights_in(terms, where)
    weights: Mapping[Any, Any] = terms if isinstance(terms, Mapping) else _once(terms, where)
    if tuple(overrides):
        raise InputError(expected("overrides", "none beside names of terms", repr(overrides), "Write other weights."))
    known, uses = catalogue(), {}
    for name, weight in weights.items():
        if not isinstance(name, str):
            raise InputError(expected(where, "weights by name, such as {'text': 0.0025}", repr(name)))
        known.term(name)
        if not (weight is None or isinstance(weight, WeightSchedule) or is_number(weight, 0, sys.float_info.max)):
            raise InputError(expected(f"{where}: {name}", "a finite weight of at least 0", repr(weight)))
        uses[name] = TermUse(use=name, weight=float(weight) if isinstance(weight, int) else weight)
    source = WrittenRecipe(where, {}, {("terms", name): where for name in uses})
    return Loaded(TermsFile(version=1, terms=uses), source, Path(), known)


def _is_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or os.path.isfile(text) or text in known_recipes()


def _once(names: Iterable[str], where: str) -> dict[str, None]:
    """Return names, without weights."""
    found: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or name in found:
            got = f"'{name}' twice" if isinstance(name, str) else repr(name)[:60]
            raise InputError(expected(where, "names of terms, each once", got))
        found[name] = None
    return found


def _weights_in(text: str, where: str) -> dict[str, Any]:
    """Return `name` or `name=WEIGHT`, with commas between, as weights by name; None for a name without one."""
    weights: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, weight = map(str.strip, part.partition("="))
        if name in weights:
            raise InputError(expected(where, "each term once", f"'{name}' twice in '{text}'"))
        try:
            weights[name] = float(weight) if equals else None
        except ValueError:
            weights[name] = weight
    if not weights:
        raise InputError(expected(where, "a file of terms, a recipe, or names of terms", f"'{text}'"))
    return weights


def build_terms(
    loaded: Loaded[Recipe] | Loaded[TermsFile],
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    auto: float | None = None,
) -> LossTerms:
    """Build the terms of a loaded recipe. Nothing is fetched; raises as `load_terms` does.

    Args:
        loaded: A recipe, or a file of terms, as `load_recipe` returned it.
        value_range: Range of the images that the terms will see.
        auto: Weight that a term of weight `auto` has until its trainer finds it; None where nobody does.
    """
    from regionloss.losses.terms import LossTerms

    def made(name: str) -> Term:
        try:
            return build_term(loaded.recipe.terms[name], loaded.catalogue, value_range=value_range, auto=auto)
        except InputError as error:
            place = loaded.source.place(("terms", name))
            raise RecipeError(f"{place}: terms.{name}: {error}") from error

    names = list(loaded.recipe.terms)
    return LossTerms(dict(zip(names, all_made(partial(made, name) for name in names), strict=True)))


def build_term(
    use: TermUse,
    catalogue: Catalogue,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    auto: float | None = None,
) -> Term:
    """Build one term: what the catalogue says of its name, with what `use` changes in it.

    Args:
        use: Name, weight, start step and changes.
        catalogue: The plugins to look in.
        value_range: Range of the images that it will see.
        auto: What the weight `auto` is for now; None where nobody finds it.

    Raises:
        UnknownNameError: No plugin defines such a term, or a part of it.
        PluginError: Its plugin is broken.
        InputError: Options that a part's constructor refuses; no kind, for a term that reads any; a weight of `auto`
            where nobody finds it.
        WeightsError: The weights of its backbone are not here; the sentence says how to fetch them.
    """
    from regionloss.losses.region_perceptual import RegionPerceptualLoss
    from regionloss.losses.terms import Term

    record = catalogue.term(use.use)
    kind = kind_of(use, record)
    asked = weight_of(use, record)
    weight = auto if asked == AUTO else asked
    if weight is None:
        advice = "The trainer 'finetune' finds weights; 'regionloss calibrate' proposes them."
        raise InputError(expected("weight", "a number", f"'{AUTO}'", advice))
    # The detector annotates data; the loss never calls it.
    parts: dict[str, Any] = {
        role: catalogue.build(role, part.name, part.options, plugin=part.plugin)
        for role, part in chosen_parts(record, use.changes, use.kind).items()
        if role != "detector"
    }
    loss = RegionPerceptualLoss(**parts, value_range=value_range)
    return Term(loss, kind, weight, use.start_step)


def weight_of(use: TermUse, record: TermRecord) -> TermWeight | Literal["auto"]:
    """Return the weight of a term: the one that `use` names, else that of its record, which is of its own parts."""
    if use.weight is not None:
        return use.weight
    parts, own = (chosen_parts(record, changes) for changes in (use.changes, {}))
    return record.weight if all(parts[role].name == own[role].name for role in WEIGHED) else 1.0


def kind_of(use: TermUse, record: TermRecord) -> str:
    """Return the kind of region that a term reads: the one that `use` names, else its own.

    Raises:
        InputError: It has none of its own, and `use` names none.
    """
    kind = use.kind or record.kind
    if not kind:
        wanted = "the kind of region to read"
        raise InputError(expected(f"term '{record.canonical}'", wanted, "none", "Name it in a recipe: 'kind: text'."))
    return kind


def build_detector(loaded: Loaded[Recipe] | Loaded[TermsFile], term: str) -> Any:
    """Build the detector that annotates for the term `term` of a recipe; None where its regions are given.

    Raises:
        RecipeError: It finds another kind of region than the term reads.
    """
    try:
        return detector_of(loaded.recipe.terms[term], loaded.catalogue)
    except InputError as error:
        place = loaded.source.place(("terms", term, "detector"))
        raise RecipeError(f"{place}: terms.{term}.detector: {error}") from error


def detector_of(use: TermUse, catalogue: Catalogue) -> Any:
    """Build the detector of one term; None where it has none. Raises as `build_term` does."""
    part = detector_part(use, catalogue)
    if not part.name:
        return None
    detector = catalogue.build("detector", part.name, part.options, plugin=part.plugin)
    found, reads = str(getattr(detector, "kind", "")), kind_of(use, catalogue.term(use.use))
    if found != reads:
        raise InputError(other_kind(part.name, found, reads))
    return detector


def detector_part(use: TermUse, catalogue: Catalogue) -> ChosenPart:
    """Return which detector annotates for a term, with which options; its name is empty where regions are given."""
    return chosen_parts(catalogue.term(use.use), use.changes, use.kind)["detector"]


def build_detectors(loaded: Loaded[Recipe] | Loaded[TermsFile]) -> dict[str, Any]:
    """Build a detector for each kind of region that the terms read, that of the kind's first term which has one.

    Kinds whose regions are given are absent; raises as `build_detector` does.
    """
    detectors: dict[str, Any] = {}
    for name, use in loaded.recipe.terms.items():
        kind = kind_of(use, loaded.catalogue.term(use.use))
        if kind not in detectors and (detector := build_detector(loaded, name)) is not None:
            detectors[kind] = detector
    return detectors


def check_trainer(loaded: Loaded[Recipe] | Loaded[TermsFile]) -> None:
    """Let a recipe's trainer see whether its options fit one another, where it has a method `check_fit()`.

    Raises:
        RecipeError: They do not.
    """
    if not isinstance(loaded.recipe, Recipe):
        return
    if hasattr(load_target(loaded.catalogue.find("trainer", loaded.recipe.trainer.name)), "check_fit"):
        try:
            with loaded.catalogue.in_use():
                build_trainer(loaded).check_fit()
        except InputError as error:
            raise RecipeError(f"{loaded.source.place(('trainer',))}: trainer: {error}") from error


def build_trainer(loaded: Loaded[Recipe]) -> Any:
    """Build the trainer of a recipe: `Trainer(**options)`; it has `run(run: TrainingRun)`."""
    trainer = loaded.recipe.trainer
    try:
        return loaded.catalogue.build("trainer", trainer.name, trainer.options)
    except InputError as error:
        place = loaded.source.place(("trainer",))
        raise RecipeError(f"{place}: trainer: {error}") from error

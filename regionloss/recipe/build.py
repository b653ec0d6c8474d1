"""From a validated recipe to the objects that train."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionloss.errors import InputError, RecipeError, expected
from regionloss.hooks.catalogue import Catalogue
from regionloss.hooks.records import TermRecord
from regionloss.hooks.term_parts import chosen_parts
from regionloss.recipe.load import Loaded, load_terms_file
from regionloss.recipe.options import other_kind
from regionloss.recipe.schema import Recipe, TermsFile, TermUse

if TYPE_CHECKING:
    from regionloss.losses.terms import LossTerms, Term


def load_terms(
    path: str | Path, *, overrides: Iterable[str] = (), value_range: tuple[float, float] = (-1.0, 1.0)
) -> LossTerms:
    """Build the terms that a file lists (`version` and `terms` as in a recipe).

    Args:
        path: The YAML file.
        overrides: Changes of the recipe, each `key.path=value`.
        value_range: Range of the images that the terms will see.

    Raises:
        RecipeError: All that is wrong with the file, a line each.
        WeightsError: Weights are missing; the sentence names the command that fetches them.
    """
    return build_terms(load_terms_file(path, overrides), value_range=value_range)


def build_terms(
    loaded: Loaded[Recipe] | Loaded[TermsFile], *, value_range: tuple[float, float] = (-1.0, 1.0)
) -> LossTerms:
    """Build the terms of a loaded recipe. Nothing is fetched; raises as `load_terms` does."""
    from regionloss.losses.terms import LossTerms

    terms = {}
    for name, use in loaded.recipe.terms.items():
        try:
            terms[name] = build_term(use, loaded.catalogue, value_range=value_range)
        except InputError as error:
            place = loaded.source.place(("terms", name))
            raise RecipeError(f"{place}: terms.{name}: {error}") from error
    return LossTerms(terms)


def build_term(use: TermUse, catalogue: Catalogue, *, value_range: tuple[float, float] = (-1.0, 1.0)) -> Term:
    """Build one term: what the catalogue says of its name, with what `use` changes in it.

    Args:
        use: Name, weight, start step and changes.
        catalogue: The plugins to look in.
        value_range: Range of the images that it will see.

    Raises:
        UnknownNameError: No plugin defines such a term, or a part of it.
        PluginError: Its plugin is broken.
        InputError: Options that a part's constructor refuses; no kind, for a term that reads any.
        WeightsError: The weights of its backbone are not here; the sentence says how to fetch them.
    """
    from regionloss.losses.region_perceptual import RegionPerceptualLoss
    from regionloss.losses.terms import Term

    record = catalogue.term(use.use)
    kind = kind_of(use, record)
    # The detector annotates data; the loss never calls it.
    parts: dict[str, Any] = {
        role: catalogue.build(role, part.name, part.options, plugin=part.plugin)
        for role, part in chosen_parts(record, use.changes, use.kind).items()
        if role != "detector"
    }
    loss = RegionPerceptualLoss(**parts, value_range=value_range)
    return Term(loss, kind, use.weight, use.start_step)


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
    record = catalogue.term(use.use)
    part = chosen_parts(record, use.changes, use.kind)["detector"]
    if not part.name:
        return None
    detector = catalogue.build("detector", part.name, part.options, plugin=part.plugin)
    found, reads = str(getattr(detector, "kind", "")), kind_of(use, record)
    if found != reads:
        raise InputError(other_kind(part.name, found, reads))
    return detector


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


def build_trainer(loaded: Loaded[Recipe]) -> Any:
    """Build the trainer of a recipe: `Trainer(**options)`; it has `run(run: TrainingRun)`."""
    trainer = loaded.recipe.trainer
    try:
        return loaded.catalogue.build("trainer", trainer.name, trainer.options)
    except InputError as error:
        place = loaded.source.place(("trainer",))
        raise RecipeError(f"{place}: trainer: {error}") from error

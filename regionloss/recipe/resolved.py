"""A recipe with everything said: defaults, versions, plugins, weights, licences. Written beside each checkpoint."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from ..errors import UnknownNameError
from ..hooks.catalogue import Catalogue, load_target
from ..hooks.options import checked_options
from ..hooks.parts import chosen_parts
from ..hooks.records import Component, Plugin
from .load import Loaded
from .schema import Recipe, TermsFile

VERSIONS = ("regionloss", "torch", "numpy", "kornia")


def resolved(loaded: Loaded[Recipe] | Loaded[TermsFile]) -> dict[str, Any]:
    """Return plain data: `recipe`, which is a recipe again and says every default, and where its parts came from.

    Keys: `recipe`, `file`, `versions` (distribution -> version), `plugins`, `components` (with licence, distribution
    and weight files with their sha256), `licences`.
    """
    used: dict[tuple[str, str], Component] = {}
    terms = {name: _term(loaded, name, used) for name in loaded.recipe.terms}
    recipe: dict[str, Any] = {"version": loaded.recipe.version}
    if isinstance(loaded.recipe, Recipe):
        recipe["seed"] = loaded.recipe.seed
    if loaded.recipe.plugins:
        recipe["plugins"] = list(loaded.recipe.plugins)
    recipe["terms"] = terms
    if isinstance(loaded.recipe, Recipe):
        trainer = loaded.recipe.trainer
        component = loaded.catalogue.find("trainer", trainer.name)
        used["trainer", component.canonical] = component
        recipe["trainer"] = {"name": component.canonical, "options": all_options(component, trainer.options)}
    components = [_component(component, loaded.catalogue) for component in used.values()]
    licences = {licence for c in components for licence in (c["licence"], *(w["licence"] for w in c["weights"]))}
    return {
        "recipe": recipe,
        "file": loaded.source.name,
        "versions": dict(_versions(loaded.catalogue)),
        "plugins": [_provenance(plugin) for plugin in loaded.catalogue.plugins],
        "components": components,
        "licences": sorted(licences),
    }


def _term(
    loaded: Loaded[Recipe] | Loaded[TermsFile], name: str, used: dict[tuple[str, str], Component]
) -> dict[str, Any]:
    use = loaded.recipe.terms[name]
    record = loaded.catalogue.term(use.use)
    term: dict[str, Any] = {"use": record.canonical, "weight": use.weight, "start_step": use.start_step}
    for kind, part in chosen_parts(record, use.changes).items():
        if part.name:
            component = loaded.catalogue.find(kind, part.name, plugin=part.plugin)
            used[kind, component.canonical] = component
            term[kind] = {"name": component.canonical, "options": all_options(component, part.options)}
    return term


def all_options(component: Component, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` with the constructor's defaults, as plain data; a default that is none is left out."""
    target = load_target(component)
    values, _ = checked_options(target, options)
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not parameter.empty
    } | values
    plain = {}
    for name, value in given.items():
        try:
            plain[name] = to_jsonable_python(value)
        except PydanticSerializationError:
            if name in options:
                plain[name] = repr(value)
    return plain


def _component(component: Component, catalogue: Catalogue) -> dict[str, Any]:
    weights = []
    for name in component.weights:
        try:
            record = catalogue.weight(name, plugin=component.plugin)
        except UnknownNameError:
            weights.append({"name": name, "sha256": "", "licence": "not stated"})
            continue
        weights.append({"name": record.canonical, "sha256": record.sha256, "licence": record.licence})
    return {
        "kind": component.kind,
        "name": component.canonical,
        "licence": component.licence,
        "distribution": component.distribution,
        "version": component.version,
        "weights": weights,
    }


def _versions(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    names = {*VERSIONS, *(p.distribution for p in catalogue.plugins if p.file is None)}
    for name in sorted(names):
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _provenance(plugin: Plugin) -> dict[str, str]:
    return {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}

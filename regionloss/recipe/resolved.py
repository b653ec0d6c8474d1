"""A recipe with everything said: defaults, versions, plugins, weights, licences. Written beside each checkpoint."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from regionloss.errors import PluginError, RegionLossError, UnknownNameError
from regionloss.hooks.catalogue import Catalogue, load_target
from regionloss.hooks.options import checked_options, defaults_of
from regionloss.hooks.records import Component
from regionloss.hooks.term_parts import ChosenPart, chosen_parts
from regionloss.recipe.build import build_trainer, weight_of
from regionloss.recipe.load import Loaded
from regionloss.recipe.schema import Recipe, TermsFile, TermUse

VERSIONS = ("regionloss", "torch", "numpy")


def resolved(loaded: Loaded[Recipe] | Loaded[TermsFile]) -> dict[str, Any]:
    """Return plain data: `recipe`, which is a recipe again and says every default, and where its parts came from.

    Keys: `recipe`, `file`, `versions` (distribution -> version), `plugins`, `components` (with licence, distribution
    and weight files with their sha256), `licences`.

    A trainer that uses components beside the recipe's terms names them: its method `components()` yields kind, name and
    options of each. What is not here is left out: who needs it says so.
    """
    with loaded.catalogue.in_use():
        return _resolved(loaded)


def _resolved(loaded: Loaded[Recipe] | Loaded[TermsFile]) -> dict[str, Any]:
    used = _Used(loaded.catalogue)
    recipe: dict[str, Any] = {"version": loaded.recipe.version}
    if isinstance(loaded.recipe, Recipe):
        recipe["seed"] = loaded.recipe.seed
    if loaded.recipe.plugins:
        recipe["plugins"] = list(loaded.recipe.plugins)
    recipe["terms"] = {name: _term(use, used) for name, use in loaded.recipe.terms.items()}
    if isinstance(loaded.recipe, Recipe):
        trainer = loaded.recipe.trainer
        recipe["trainer"] = used.part("trainer", trainer.name, trainer.options)
        if hasattr(load_target(loaded.catalogue.find("trainer", trainer.name)), "components"):
            for kind, name, options in build_trainer(loaded).components():
                with suppress(UnknownNameError, PluginError):
                    used.part(kind, name, options)
    components = used.provenance()
    licences = {licence for c in components for licence in (c["licence"], *(w["licence"] for w in c["weights"]))}
    return {
        "recipe": recipe,
        "file": str(loaded.path.resolve()),
        "versions": dict(_versions(loaded.catalogue)),
        "plugins": [
            {"name": one.name, "distribution": one.distribution, "version": one.version}
            for one in loaded.catalogue.plugins
        ],
        "components": components,
        "licences": sorted(licences),
    }


def _term(use: TermUse, used: _Used) -> dict[str, Any]:
    record = used.catalogue.term(use.use)
    term: dict[str, Any] = {
        "use": record.canonical,
        "kind": use.kind or record.kind,
        "weight": to_jsonable_python(weight_of(use, record)),
        "start_step": use.start_step,
    }
    for kind, part in chosen_parts(record, use.changes, use.kind).items():
        if kind == "detector":
            term |= {kind: found} if (found := used.spare(part)) else {}
        elif part.name:
            term[kind] = used.part(kind, part.name, part.options, part.plugin)
    return term


class _Used:
    """The components that a recipe uses, each with the weight files that its options choose."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.components: dict[tuple[str, str], Component] = {}
        self.weights: dict[tuple[str, str], dict[str, dict[str, str]]] = {}

    def part(self, kind: str, name: str, options: Mapping[str, Any], plugin: str = "") -> dict[str, Any]:
        """Note a component; return it as a recipe would write it, with every option."""
        component = self.catalogue.find(kind, name, plugin=plugin)
        full = all_options(component, options)
        key = (kind, component.canonical)
        self.components[key] = component
        self.weights.setdefault(key, {}).update(self.chosen(component, full))
        return {"name": component.canonical, "options": full}

    def spare(self, detector: ChosenPart) -> dict[str, Any] | None:
        """Do the same for a detector, which need not be here: then its defaults are not said."""
        try:
            return self.part("detector", detector.name, detector.options, detector.plugin) if detector.name else None
        except UnknownNameError:
            return None
        except PluginError:
            prefix = f"{detector.plugin}/" if detector.plugin and "/" not in detector.name else ""
            return {"name": prefix + detector.name, "options": to_jsonable_python(detector.options)}

    def chosen(self, component: Component, options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Return the weight files of a component by name; an option that names another one replaces its default.

        A file that an option gives by its path is named by that.
        """
        target = load_target(component)
        if hasattr(target, "weights_of"):  # it looks for them where other libraries keep theirs
            options = {**options, "weights": target.weights_of(options)}
        defaults = defaults_of(target).values()
        replaced = {default for default in defaults if isinstance(default, str)}
        named = [value for value in options.values() if isinstance(value, str)]
        kept = [name for name in component.weights if name not in replaced or name in named]
        found = {}
        for name in dict.fromkeys([*kept, *named]):
            try:
                record = self.catalogue.weight(name, plugin=component.plugin)
            except RegionLossError:
                if name in kept:
                    found[name] = {"name": name, "sha256": "", "licence": "not stated"}
                continue
            found[record.canonical] = {"name": record.canonical, "sha256": record.sha256, "licence": record.licence}
        for key, value in options.items():
            if key.endswith("weights") and isinstance(value, str) and (file := Path(value).expanduser()).is_file():
                found[value] = {"name": value, "sha256": sha256_of(file), "licence": "not stated"}
        return found

    def provenance(self) -> list[dict[str, Any]]:
        """Return what is written of each component."""
        return [
            {
                "kind": component.kind,
                "name": component.canonical,
                "licence": component.licence,
                "distribution": component.distribution,
                "version": component.version,
                "weights": list(self.weights[key].values()),
            }
            for key, component in self.components.items()
        ]


def sha256_of(file: Path) -> str:
    """Return a file's sha256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def all_options(component: Component, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` with the constructor's defaults, as plain data; a default that is none is left out."""
    target = load_target(component)
    values, _ = checked_options(target, component.options(options))
    plain = {}
    for name, value in (defaults_of(target) | values).items():
        try:
            plain[name] = to_jsonable_python(value)
        except PydanticSerializationError:
            if name in options:
                plain[name] = repr(value)
    return plain


def _versions(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    names = {*VERSIONS, *(p.distribution for p in catalogue.plugins if p.file is None)}
    for name in sorted(names):
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue

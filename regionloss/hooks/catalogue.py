"""What is registered: listing it, finding it by name, and only then importing it."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError, PluginError, UnknownNameError, did_you_mean
from .manager import import_file, load_plugins
from .records import (
    COMPONENT_KINDS,
    BrokenPlugin,
    Component,
    Plugin,
    RegionKind,
    Registered,
    SlowPlugin,
    TermRecord,
    WeightRecord,
)

__all__ = [
    "COMPONENT_KINDS",
    "BrokenPlugin",
    "Catalogue",
    "Component",
    "Plugin",
    "RegionKind",
    "TermRecord",
    "WeightRecord",
    "build_catalogue",
    "catalogue",
    "forget",
]

KINDS = tuple(COMPONENT_KINDS.values())
R = TypeVar("R", bound=Registered)


@dataclass(frozen=True)
class Catalogue:
    """Everything that the loaded plugins registered. Immutable; build another one for other plugins.

    Names are canonical, `plugin/name`, or bare while only one plugin has them.
    """

    plugins: tuple[Plugin, ...]
    broken: tuple[BrokenPlugin, ...]
    blocked: tuple[Plugin, ...]
    records: tuple[Registered, ...] = field(repr=False)
    slow: tuple[SlowPlugin, ...] = ()

    def components(self, kind: str | None = None) -> list[Component]:
        """Return the components (of one `kind`), sorted by kind and canonical name, nothing imported."""
        if kind is not None and kind not in KINDS:
            raise UnknownNameError(f"there is no kind of component '{kind}'. {did_you_mean(kind, KINDS)}")
        found = [r for r in self.records if isinstance(r, Component) and kind in (None, r.kind)]
        return sorted(found, key=lambda c: (KINDS.index(c.kind), c.canonical))

    def terms(self) -> list[TermRecord]:
        """Return the registered terms, sorted by canonical name."""
        return self._all(TermRecord)

    def weights(self) -> list[WeightRecord]:
        """Return the registered weight files, sorted by canonical name."""
        return self._all(WeightRecord)

    def region_kinds(self) -> list[RegionKind]:
        """Return the registered kinds of regions, sorted by canonical name."""
        return self._all(RegionKind)

    def find(self, kind: str, name: str, *, plugin: str = "") -> Component:
        """Return the component `name` of `kind`.

        Args:
            kind: detector, extractor, backbone, distance, weighting, judge, host, trainer or command.
            name: `plugin/name`, or the bare name while it is unique.
            plugin: Plugin whose own components come first for bare names (a term naming its parts).

        Raises:
            UnknownNameError: No such name, or several plugins have it.
            PluginError: Its plugin is broken, or two distributions registered this very name.
        """
        return self._one(self.components(kind), kind, name, plugin)

    def term(self, name: str) -> TermRecord:
        """Return the term `name`; the bare name of a plugin stands for its default term."""
        defaults = {term.plugin: term for term in self.terms() if term.default}
        if name in defaults:
            return self._one(self.terms(), "term", defaults[name].canonical)
        return self._one(self.terms(), "term", name, also=defaults)

    def region_kind(self, name: str) -> RegionKind:
        """Return the kind of region `name`."""
        return self._one(self.region_kinds(), "region kind", name)

    def weight(self, name: str, *, plugin: str = "") -> WeightRecord:
        """Return the weight file `name`."""
        return self._one(self.weights(), "weight file", name, plugin)

    def load(self, kind: str, name: str, *, plugin: str = "") -> Any:
        """Import what `name` of `kind` stands for, mostly a class. Raises PluginError if that fails."""
        return load_target(self.find(kind, name, plugin=plugin))

    def build(self, kind: str, name: str, options: Mapping[str, object] | None = None, *, plugin: str = "") -> Any:
        """Build the component `name` of `kind`; its constructor's signature is the schema of `options`.

        Raises:
            InputError: Options that are unknown, missing or of the wrong type; all in one message.
        """
        from .options import checked_options

        component = self.find(kind, name, plugin=plugin)
        target = load_target(component)
        values, problems = checked_options(target, options or {})
        if problems:
            lines = [f"{kind} '{component.canonical}': {problem}" for problem in problems]
            raise InputError("\n".join(lines))
        return target(**values)

    def _all(self, record: type[R]) -> list[R]:
        return sorted((r for r in self.records if isinstance(r, record)), key=lambda r: r.canonical)

    def _one(self, records: list[R], what: str, name: str, plugin: str = "", also: Iterable[str] = ()) -> R:
        own = [r for r in records if plugin and r.canonical == f"{plugin}/{name}"]
        found = own or [r for r in records if name in (r.canonical, r.name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown(records, what, name, also)
        if len({r.canonical for r in found}) < len(found):
            owners = " and ".join(sorted(f"{r.distribution} {r.version}" for r in found))
            advice = "Uninstall one of them, or name the plugins to load in REGIONLOSS_PLUGINS."
            raise PluginError(f"{what} '{found[0].canonical}' is registered by two distributions: {owners}. {advice}")
        names = ", ".join(sorted(r.canonical for r in found))
        raise UnknownNameError(f"{what} '{name}' is registered by several plugins. Write one of: {names}.")

    def _unknown(self, records: list[R], what: str, name: str, also: Iterable[str]) -> Exception:
        prefix = name.split("/")[0]
        for broken in self.broken:
            if broken.plugin.name == prefix:
                return PluginError(f"{what} '{name}' cannot be had, since {broken}")
        for blocked in self.blocked:
            if blocked.name == prefix:
                return PluginError(
                    f"{what} '{name}' cannot be had: REGIONLOSS_PLUGINS leaves out {blocked}. Add it there."
                )
        unique = [r.name for r in records]
        names = {r.canonical for r in records if "/" in name or unique.count(r.name) > 1}
        names |= {r.name for r in records if "/" not in name and unique.count(r.name) == 1}
        names |= set(also)
        notes = "".join(f" Note: {broken}" for broken in self.broken)
        return UnknownNameError(f"no {what} is named '{name}'. {did_you_mean(name, names)}{notes}")

    def clashes(self) -> list[str]:
        """Return a sentence for each canonical name that two distributions registered."""
        seen: dict[tuple[object, ...], list[Registered]] = {}
        for record in self.records:
            kind = record.kind if isinstance(record, Component) else ""
            seen.setdefault((type(record).__name__, kind, record.canonical), []).append(record)
        return [
            f"{kind or table} '{name}' is registered by two distributions: "
            + " and ".join(sorted(f"{r.distribution} {r.version}" for r in records))
            + "."
            for (table, kind, name), records in seen.items()
            if len(records) > 1
        ]


def load_target(component: Component) -> Any:
    """Import the target of a component.

    Raises:
        PluginError: The import fails; the sentence names the distribution and what to install.
    """
    module_name, _, attribute = component.target.partition(":")
    where = f"{component.kind} '{component.canonical}' ({component.distribution} {component.version})"
    try:
        found: Any = _module(component, module_name)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        if component.extra:
            advice = f"It needs more than its plugin: pip install '{component.extra}'."
        else:
            advice = f"Reinstall {component.distribution}, or report this to its authors."
        raise PluginError(f"{where} cannot be imported: {type(error).__name__}: {reason}. {advice}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = did_you_mean(part, (n for n in vars(found) if not n.startswith("_")))
            raise PluginError(f"{where}: '{module_name}' has no '{attribute}'. {known}")
        found = getattr(found, part)
    return found


def _module(component: Component, name: str) -> Any:
    """A plugin file may name itself and the files beside it; everything else is imported as usual."""
    if component.file is not None:
        beside = component.file.parent / f"{name}.py"
        if beside.is_file():
            return import_file(beside)
    return importlib.import_module(name)


def build_catalogue(only: Iterable[str] | None = None, files: Iterable[Path] = ()) -> Catalogue:
    """Load plugins afresh (see `load_plugins`); `only=None` follows the variable REGIONLOSS_PLUGINS."""
    names = _asked_for() if only is None else tuple(only)
    loaded = load_plugins(names, tuple(files))
    return Catalogue(loaded.plugins, loaded.broken, loaded.blocked, loaded.records, loaded.slow)


def catalogue() -> Catalogue:
    """Return the catalogue of the installed plugins; loaded once for each value of REGIONLOSS_PLUGINS."""
    return _cached(_asked_for())


def forget() -> None:
    """Let the next `catalogue()` look anew at what is installed."""
    _cached.cache_clear()


def _asked_for() -> tuple[str, ...] | None:
    value = os.environ.get("REGIONLOSS_PLUGINS")
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


@functools.cache
def _cached(only: tuple[str, ...] | None) -> Catalogue:
    loaded = load_plugins(only)
    return Catalogue(loaded.plugins, loaded.broken, loaded.blocked, loaded.records, loaded.slow)

"""What is registered: listing it, finding it by name, and only then importing it."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from regionloss.errors import InputError, PluginError, UnknownNameError, did_you_mean
from regionloss.hooks.manager import LoadedPlugins, load_plugins
from regionloss.hooks.records import (
    COMPONENT_KINDS,
    BrokenPlugin,
    Component,
    Plugin,
    RegionKind,
    Registered,
    TermRecord,
    WeightRecord,
    agreed,
    clash_advice,
    owners,
)
from regionloss.hooks.targets import built, load_target

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
    "load_target",
]

KINDS = tuple(COMPONENT_KINDS.values())
#: Plugins of this project that are distributions of their own, `regionloss-NAME`.
OURS = frozenset({"face", "hands", "logo", "text"})
R = TypeVar("R", bound=Registered)
_IN_USE: ContextVar[Catalogue | None] = ContextVar("catalogue in use", default=None)


@dataclass(frozen=True)
class Catalogue(LoadedPlugins):
    """Everything that the loaded plugins registered. Immutable; build another one for other plugins.

    Names are canonical, `plugin/name`, or bare while only one plugin has them. Kinds of regions have bare names alone:
    they are words that all plugins share.
    """

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
        """Return the kinds of regions on which the plugins agree, one of each name, sorted by it."""
        found = []
        for name, kinds in sorted(self._kinds().items()):
            with contextlib.suppress(PluginError):
                found.append(agreed(name, kinds))
        return found

    def find(self, kind: str, name: str, *, plugin: str = "") -> Component:
        """Return the component `name` of `kind`.

        Args:
            kind: One of detector, extractor, backbone, distance, weighting, judge, host, trainer and command.
            name: `plugin/name`, or the bare name while it is unique; `timm/resnet50` is of the family `timm`.
            plugin: Plugin whose own components come first for bare names (a term naming its parts).

        Raises:
            UnknownNameError: No such name, or several plugins have it.
            PluginError: Its plugin is broken, or two distributions registered this very name.
        """
        records = self.components(kind)
        members = [member for record in records if (member := record.member(name))]
        return self._one([*records, *members], kind, name, plugin)

    def term(self, name: str) -> TermRecord:
        """Return the term `name`; the bare name of a plugin stands for its default term."""
        defaults = [term for term in self.terms() if term.default]
        own = [term for term in defaults if term.plugin == name]
        if len(own) > 1:
            names = f"is the name of two plugins with a default term: {owners(own)}"
            raise PluginError(f"term '{name}' {names}. {clash_advice(own)}")
        if own:
            return self._one(self.terms(), "term", own[0].canonical)
        return self._one(self.terms(), "term", name, also=[term.plugin for term in defaults])

    def region_kind(self, name: str) -> RegionKind:
        """Return the kind of region `name`, as all plugins that register it have it.

        Raises:
            UnknownNameError: No such name.
            PluginError: Plugins say different things of its keypoints.
        """
        kinds = self._kinds()
        if name not in kinds:
            bare = name.rpartition("/")[2]
            notes = "".join(f" Note: {broken}" for broken in self.broken)
            raise UnknownNameError(f"no region kind is named '{name}'. {did_you_mean(bare, kinds)}{notes}")
        return agreed(name, kinds[name])

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
        from regionloss.hooks.options import checked_options

        component = self.find(kind, name, plugin=plugin)
        target = load_target(component)
        with self.in_use():
            values, problems = checked_options(target, component.options(options or {}))
            if problems:
                lines = [f"{kind} '{component.canonical}': {problem}" for problem in problems]
                raise InputError("\n".join(lines))
            return built(component, target, values)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let `catalogue()` be this one inside: names in options mean what the recipe's own plugins bring, too."""
        token = _IN_USE.set(self)
        try:
            yield
        finally:
            _IN_USE.reset(token)

    def _kinds(self) -> dict[str, list[RegionKind]]:
        kinds: dict[str, list[RegionKind]] = {}
        for record in self.records:
            if isinstance(record, RegionKind):
                kinds.setdefault(record.name, []).append(record)
        return kinds

    def _all(self, record: type[R]) -> list[R]:
        return sorted((r for r in self.records if isinstance(r, record)), key=lambda r: r.canonical)

    def _one(self, records: list[R], what: str, name: str, plugin: str = "", also: Iterable[str] = ()) -> R:
        own = [r for r in records if plugin and r.canonical == f"{plugin}/{name}"]
        found = own or [r for r in records if name in r.names]
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown(records, what, name, also)
        if len({r.canonical for r in found}) < len(found):
            name = f"{what} '{found[0].canonical}'"
            raise PluginError(f"{name} is registered by two distributions: {owners(found)}. {clash_advice(found)}")
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
        plugins = {r.plugin for r in records} - names if "/" not in name else ()
        near = difflib.get_close_matches(name, plugins, n=1, cutoff=0.75)
        own = sorted(repr(r.canonical) for r in records if [r.plugin] == near)
        meant = (
            f"Did you mean {' or '.join(own)}? Known: {', '.join(sorted(names))}." if own else did_you_mean(name, names)
        )
        absent = prefix in OURS and all(plugin.name != prefix for plugin in self.plugins)
        advice = f"Its plugin is not installed: pip install regionloss-{prefix}." if absent else meant
        return UnknownNameError(f"no {what} is named '{name}'. {advice}{notes}")

    def clashes(self) -> list[str]:
        """Return a sentence for each plugin name, and each kind of region, over which two distributions differ."""
        plugins: dict[str, list[Plugin]] = {}
        for plugin in self.plugins:
            plugins.setdefault(plugin.name, []).append(plugin)
        said = [
            f"plugin '{name}' comes from two distributions: {owners(same)}. {clash_advice(same)}"
            for name, same in plugins.items()
            if len(same) > 1
        ]
        for name, kinds in self._kinds().items():
            try:
                agreed(name, kinds)
            except PluginError as error:
                said.append(str(error))
        return said


def build_catalogue(only: Iterable[str] | None = None, files: Iterable[Path] = ()) -> Catalogue:
    """Load plugins afresh (see `load_plugins`); `only=None` follows the variable REGIONLOSS_PLUGINS."""
    names = _asked_for() if only is None else tuple(only)
    return Catalogue(**vars(load_plugins(names, tuple(files))))


def catalogue() -> Catalogue:
    """Return the catalogue in use, else that of the installed plugins, loaded once for each REGIONLOSS_PLUGINS."""
    return _IN_USE.get() or _cached(_asked_for())


def forget() -> None:
    """Let the next `catalogue()` look anew at what is installed."""
    _cached.cache_clear()


def _asked_for() -> tuple[str, ...] | None:
    value = os.environ.get("REGIONLOSS_PLUGINS")
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


_cached = functools.cache(build_catalogue)

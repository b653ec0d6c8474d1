"""Loads plugins one at a time, so that a broken one stops only those who ask for it.

Each plugin gets a pluggy manager of its own: what it registers is kept only when all of its hooks ran.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pluggy

from regionloss.errors import PluginError, RegionLossError, did_you_mean, in_one_line
from regionloss.hooks import specs
from regionloss.hooks.records import FILE_VERSION, BrokenPlugin, Plugin, Registered, SlowPlugin
from regionloss.hooks.registrar import Registrar

GROUP = "regionloss"
CORE = "core"
HOOKS = tuple(name for name in vars(specs) if name.startswith("register_"))
#: Seconds; every command loads every plugin, and `regionloss plugins` has one second for all of them.
SLOW = 0.5


@dataclass(frozen=True)
class LoadedPlugins:
    """What loading gave: plugins that work, are broken, or were not asked for; all records; who made it slow."""

    plugins: tuple[Plugin, ...]
    broken: tuple[BrokenPlugin, ...]
    blocked: tuple[Plugin, ...]
    records: tuple[Registered, ...] = field(repr=False)
    slow: tuple[SlowPlugin, ...] = ()


def load_plugins(only: Sequence[str] | None = None, files: Iterable[Path] = ()) -> LoadedPlugins:
    """Load core, then the installed plugins, then the modules at `files`.

    Args:
        only: Names of the installed plugins to load; None loads all. Core and `files` are always loaded.
        files: Python files that hold hooks; the plugin is named after the file.

    Returns:
        The records of the plugins that work, and a sentence for each that does not. Never raises.
    """
    sources = [(_core(), partial(importlib.import_module, "regionloss.hooks.builtin"))]
    blocked: list[Plugin] = []
    broken: list[BrokenPlugin] = []
    installed = installed_plugins()
    for plugin, module in installed:
        if only is not None and plugin.name not in only:
            blocked.append(plugin)
        else:
            sources.append((plugin, partial(importlib.import_module, module)))
    for name in only or ():
        if name not in {plugin.name for plugin, _ in installed}:
            sentence = f"no plugin of this name is installed. {did_you_mean(name, (p.name for p, _ in installed))}"
            broken.append(BrokenPlugin(Plugin(name, "REGIONLOSS_PLUGINS", "-"), sentence))
    sources += [(file_plugin(path), partial(import_file, path)) for path in files]

    working: list[Plugin] = []
    records: list[Registered] = []
    slow: list[SlowPlugin] = []
    for plugin, importer in sources:
        started, had_torch = time.perf_counter(), "torch" in sys.modules
        try:
            records += _records_of(plugin, importer)
            working.append(plugin)
        # A plugin is a stranger's code: whatever it raises is its own trouble, not the other plugins'.
        except (Exception, SystemExit) as error:
            broken.append(BrokenPlugin(plugin, _sentence(error), error))
        seconds, torch = time.perf_counter() - started, "torch" in sys.modules and not had_torch
        if plugin.file is None and (torch or seconds >= SLOW):  # a file is loaded by its own recipes only
            slow.append(SlowPlugin(plugin, seconds, torch))
    return LoadedPlugins(tuple(working), tuple(broken), tuple(blocked), tuple(records), tuple(slow))


def _records_of(plugin: Plugin, importer: Callable[[], ModuleType]) -> list[Registered]:
    """Import one plugin, check its hooks, and call them."""
    if plugin.name == CORE and plugin != _core():
        raise PluginError(f"the name '{CORE}' is taken by regionloss itself. Rename the entry point.")
    module = importer()
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    try:
        manager.register(module, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_validation_sentence(manager, module, str(error))) from error
    _refuse_unmarked(manager, module)

    registrar = Registrar(plugin)
    for hook in HOOKS:
        caller = getattr(manager.hook, hook)
        if not caller.get_hookimpls():
            continue
        before = len(registrar.records)
        try:
            caller(register=registrar.for_hook(hook))
        except (Exception, SystemExit) as error:
            raise PluginError(f"{hook}: {_sentence(error)}") from error
        _trace(plugin, hook, registrar.records[before:])
    return registrar.records


def _refuse_unmarked(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """A hook without its marker would be ignored in silence."""
    callers = manager.get_hookcallers(module) or []
    marked = {caller.name for caller in callers}
    for name in vars(module):
        if name in HOOKS and name not in marked:
            raise PluginError(f"{name} is not marked as a hook. Write @regionloss.hooks.hookimpl above it.")
    if not marked:
        advice = "Write at least one function marked with @regionloss.hooks.hookimpl."
        raise PluginError(f"module '{module.__name__}' has no hooks. {advice}")


def _validation_sentence(manager: pluggy.PluginManager, module: ModuleType, reason: str) -> str:
    for caller in manager.get_hookcallers(module) or []:
        if not caller.has_spec():
            return f"'{caller.name}' is not a hook. {did_you_mean(caller.name, HOOKS)}"
    wrong = reason.splitlines()[-1] if "hookimpl definition" in reason else reason
    hook = next((name for name in HOOKS if f"'{name}'" in reason), "a hook")
    return f"{hook}: expected the one argument 'register'. {wrong}"


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, RegionLossError) else f"{in_one_line(error)}."


def _trace(plugin: Plugin, hook: str, records: Sequence[Registered]) -> None:
    if os.environ.get("REGIONLOSS_TRACE", "") not in ("", "0"):
        names = ", ".join(record.canonical for record in records)
        print(f"regionloss: {plugin}: {hook} -> {names or 'nothing'}", file=sys.stderr)


def _core() -> Plugin:
    return Plugin(CORE, "regionloss", importlib.metadata.version("regionloss"))


def installed_plugins() -> list[tuple[Plugin, str]]:
    """Return the plugins that are installed, by name, and their modules; nothing is imported."""
    found = set()
    for entry in importlib.metadata.entry_points(group=GROUP):
        distribution = entry.dist.name if entry.dist else "unknown"
        version = entry.dist.version if entry.dist else "unknown"
        found.add((Plugin(entry.name, distribution, version), entry.value))
    return sorted(found, key=lambda pair: (pair[0].name, pair[0].distribution))


def file_plugin(path: Path) -> Plugin:
    """Return the plugin that a Python file stands for; its version is the hash of the file."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except (OSError, ValueError):
        digest = "absent"
    return Plugin(path.stem.replace("_", "-"), str(path), f"{FILE_VERSION}{digest}", path)


def file_spec(path: Path) -> ModuleSpec:
    """Return how a Python file would be imported, under a name of its own, so that it never hides an installed module.

    Raises:
        PluginError: There is no such file, or it is not one of Python.
    """
    if not os.path.isfile(path):
        raise PluginError(f"there is no file '{path}'. Paths in 'plugins' are relative to the recipe.")
    digest = hashlib.sha256(os.fsencode(path.resolve()) + path.read_bytes()).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(f"regionloss_file_{path.stem}_{digest}", path)
    if spec is None or spec.loader is None:
        raise PluginError(f"'{path}' is not a Python file. Name a module that ends in .py.")
    return spec


def import_file(path: Path) -> ModuleType:
    """Import a Python file once; raises PluginError as `file_spec` does, and whatever the file raises."""
    spec = file_spec(path)
    if spec.name not in sys.modules:
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
    return sys.modules[spec.name]

"""A plugin's module: how long it takes to import, and which hooks it has."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from regionloss.errors import RegionLossError, did_you_mean, in_one_line
from regionloss.hooks.manager import HOOKS
from regionloss.hooks.records import Plugin, Registered
from regionloss.hooks.registrar import Registrar
from regionloss.hooks.specs import PROJECT
from regionloss.testing.check.findings import ADVICE, MISSING, OK, Finding

LIMIT = 0.3  # seconds for one plugin: `regionloss plugins` has one for all of them
TRIES = 3  # the quickest counts: the machine may be busy
PATIENCE = 60.0
PROGRAM = """
import contextlib, pathlib, sys, time
from regionloss.hooks.manager import load_plugins
from regionloss.testing.projects import as_installed
name, place = sys.argv[1], pathlib.Path(sys.argv[2]) if sys.argv[2] else None
file = place is not None and place.is_file()
load_plugins([])
with as_installed(place) if place and not file else contextlib.nullcontext():
    begin = time.perf_counter()
    load_plugins([], [place]) if file else load_plugins([name])
    print("\\n", time.perf_counter() - begin, int("torch" in sys.modules))
"""


def import_findings(plugin: Plugin, place: Path | None) -> Finding:
    """Return how long the plugin's module and hooks take in a fresh process, and whether they import torch.

    Args:
        plugin: The plugin to import.
        place: Folder or file of the plugin's project; None for an installed plugin.
    """
    seconds, torch = PATIENCE, False
    for _ in range(TRIES):
        try:
            took, torch = _measured(plugin, place)
        except subprocess.TimeoutExpired:
            break
        seconds = min(seconds, took)
        if seconds <= LIMIT or torch:
            break
    advice = "Import what is heavy in the modules that its targets name, not in the one with the hooks."
    if torch and plugin.file:
        return Finding(ADVICE, "import", f"it imports torch: fine in one file, too slow in a package. {advice}")
    if torch:
        return Finding(MISSING, "import", f"it imports torch, so every command waits for that. {advice}")
    if seconds > LIMIT:
        return Finding(MISSING, "import", f"it takes {seconds:.1f} s, and {LIMIT} s is the limit. {advice}")
    return Finding(OK, "import", f"{1000 * seconds:.0f} ms, without torch")


def _measured(plugin: Plugin, place: Path | None) -> tuple[float, bool]:
    command = [sys.executable, "-c", PROGRAM, plugin.name, str(place or "")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    words = result.stdout.split()[-2:]
    return (float(words[0]), words[1] == "1") if result.returncode == 0 and len(words) == 2 else (PATIENCE, False)


def hook_findings(plugin: Plugin, module: ModuleType, records: list[Registered]) -> Iterator[Finding]:
    """Yield which hooks a module has, which are misspelled or fail; what the others register goes into `records`."""
    working = []
    registrar = Registrar(plugin)
    for name, value in list(vars(module).items()):
        wrong = _wrong_hook(module, name, value)
        if wrong:
            yield Finding(MISSING, "hooks", wrong)
        elif name in HOOKS:
            try:
                value(register=registrar.for_hook(name))
                working.append(name)
            except (Exception, SystemExit) as error:
                told = in_one_line(error)
                told = told.partition(": ")[2] if isinstance(error, RegionLossError) else told
                yield Finding(MISSING, "hooks", f"{name}: {told}. Nothing of the plugin is usable until then.")
    records += registrar.records
    if working:
        yield Finding(OK, "hooks", ", ".join(working))
    else:
        yield Finding(MISSING, "hooks", "there is none that works. Write a function register_... with @hookimpl.")


def _wrong_hook(module: ModuleType, name: str, value: object) -> str:
    """Return what is wrong with a function as a hook; nothing for one that is none."""
    if not inspect.isfunction(value):
        return ""
    marked = hasattr(value, f"{PROJECT}_impl")
    if marked and name not in HOOKS:
        return f"'{name}' is not a hook. {did_you_mean(name, HOOKS)}"
    if name in HOOKS and not marked:
        return f"{name} is not marked as a hook. Write @regionloss.hooks.hookimpl above it."
    if name in HOOKS and list(inspect.signature(value).parameters) != ["register"]:
        return f"{name}: expected the one argument 'register', got ({', '.join(inspect.signature(value).parameters)})."
    if name.startswith("register_") and name not in HOOKS and value.__module__ == module.__name__:
        return f"'{name}' is neither a hook nor marked as one. {did_you_mean(name, HOOKS)} Or begin it with '_'."
    return ""

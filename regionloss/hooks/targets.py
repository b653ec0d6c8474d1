"""From the string that a component was registered with to what it names, and to an object built from that."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from regionloss.errors import PluginError, RegionLossError, did_you_mean, expected, in_one_line
from regionloss.hooks.manager import import_file
from regionloss.hooks.records import Component


def load_target(component: Component) -> Any:
    """Import the target of a component.

    Raises:
        PluginError: The import fails; the sentence names the distribution, the module and what to install. Or nothing
            of this kind can be made of what the target names.
    """
    module_name, _, attribute = component.target.partition(":")
    try:
        found: Any = _module(component, module_name)
        module = found
    # The module is a stranger's code, and may raise anything.
    except (Exception, SystemExit) as error:
        raise PluginError(f"{component} cannot be imported: {module_name}: {_reason(component, error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = did_you_mean(part, _own_names(component, module, found))
            raise PluginError(f"{component}: '{module_name}' has no '{attribute}'. {known}")
        found = getattr(found, part)
    _refuse_unfit(component, found)
    return found


def _reason(component: Component, error: BaseException) -> str:
    """Return why a component's code cannot be run, and what helps."""
    return f"{in_one_line(error)}. {_advice(component, error)}"


def _advice(component: Component, error: BaseException) -> str:
    if component.extra:
        return f"It needs more than its plugin: pip install '{component.extra}'."
    if component.file is not None:
        return f"Mend {component.file}."
    absent = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and absent not in ("", component.target.partition(".")[0]):
        return (
            f"Install the package that brings '{absent}'; {component.distribution} should declare it, tell its authors."
        )
    if "cannot open shared object file" in str(error):
        return "Install the system's package that brings this library."
    return f"Reinstall {component.distribution}, or report this to its authors."


def built(component: Component, target: Any, options: Mapping[str, Any]) -> Any:
    """Return `target(**options)`; a constructor that leaves the program, or imports in vain, is said to be its own."""
    try:
        return target(**options)
    except RegionLossError:
        raise
    except ImportError as error:
        raise PluginError(f"{component} cannot be built: {_reason(component, error)}") from error
    except SystemExit as error:
        raise PluginError(f"{component} cannot be built: SystemExit: {error}.") from error


def _module(component: Component, name: str) -> Any:
    """A plugin file may name itself and the files beside it; everything else is imported as usual."""
    if component.file is not None:
        beside = component.file.parent / f"{name}.py"
        if beside.is_file():
            return import_file(beside)
    return importlib.import_module(name)


def _own_names(component: Component, module: ModuleType, found: Any) -> Iterator[str]:
    """Yield what a target may have meant: the classes and functions of its own package, not what it imported."""
    package = module.__name__.partition(".")[0]
    for name, value in vars(found).items():
        if inspect.isclass(value) or inspect.isroutine(value):
            fits = str(value.__module__).partition(".")[0] == package
        else:  # these may be objects
            fits = component.kind in ("host", "command") and not inspect.ismodule(value)
        if fits and not name.startswith("_"):
            yield name


def _refuse_unfit(component: Component, found: Any) -> None:
    """Say at once what would be an error without a name later; a host's type is known where hosts are."""
    where = f"{component}: {component.target}"
    if component.kind != "host" and not callable(found):
        wanted = {"trainer": "a class", "command": "a typer app or a function"}.get(
            component.kind, "a class or function"
        )
        raise PluginError(expected(where, wanted, repr(found)[:60], "Let its target name one."))
    if component.kind == "trainer" and inspect.isclass(found) and not callable(getattr(found, "run", None)):
        raise PluginError(expected(where, "a class with a method run(run: TrainingRun)", "one without", "Write it."))

"""`regionloss`: one command a file, imported when it is called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import sys
from collections import Counter
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from regionloss.cli.flags import refuse_flags
from regionloss.console.sentences import SentenceGroup
from regionloss.hooks.catalogue import catalogue
from regionloss.hooks.commands import as_command, plugin_command
from regionloss.hooks.records import Component
from regionloss.runs.launch import is_first_process

#: Command -> where it is, and its line in `--help` (the first line of its docstring; a test compares the two).
COMMANDS = {
    "train": ("regionloss.cli.train:train", "Run a recipe's trainer."),
    "check": ("regionloss.cli.check:check", "Check a recipe and list all its mistakes; runs the recipe's plugins."),
    "show": ("regionloss.cli.show:show", "Show a recipe with its defaults, versions and licences."),
    "plugins": ("regionloss.cli.plugins:plugins", "List the plugins and what each brings."),
    "plugin": ("regionloss.cli.plugin:app", "Write a plugin of your own, and check it."),
    "components": ("regionloss.cli.components:components", "List what recipes can name."),
    "weights": ("regionloss.cli.weights:app", "List, fetch, verify, convert, export and import weight files."),
    "annotate": (
        "regionloss.cli.annotate:annotate",
        "Run detectors over image shards or folders, and write what they find beside them.",
    ),
    "regions": ("regionloss.cli.regions:app", "Show, count, import and export regions."),
    "compare": (
        "regionloss.cli.compare:compare",
        "Show results side by side on one page: tables, plots, and every instance to look at.",
    ),
    "inspect": (
        "regionloss.cli.inspect:inspect",
        "Draw what terms see in an image: regions, crops, distance and weight of each.",
    ),
    "aggregate": (
        "regionloss.cli.aggregate:aggregate",
        "Average TokBench's own result files by size group, as its table does.",
    ),
    "detect": ("regionloss.cli.detect:detect", "Run a detector on images; print and draw what it finds."),
    "evaluate": (
        "regionloss.cli.evaluate:evaluate",
        "Judge reconstructions: text, faces, pixels; stops and goes on anywhere, alone or under torchrun.",
    ),
}


class LazyGroup(SentenceGroup):
    """A group that lists its commands from one line each and imports the one that is called."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.targets: dict[str, str | Component] = {}
        for name, (target, summary) in COMMANDS.items():
            self.add_lazy(name, target, summary)
        found = catalogue().components("command")
        names = Counter(component.name for component in found)
        for component in found:
            # Several plugins with one command, or one of ours: each keeps its full name.
            taken = component.name in COMMANDS or names[component.name] > 1
            self.add_lazy(component.canonical if taken else component.name, component, component.summary)

    def add_lazy(self, name: str, target: str | Component, summary: str) -> None:
        """List `name` with its summary, and remember where it is."""
        self.targets[name] = target
        self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called, and only now import it."""
        name, _, rest = super().resolve_command(ctx, args)
        command = load_command(str(name), self.targets[str(name)])
        refuse_flags(command, rest)
        return name, command, rest


def load_command(name: str, target: str | Component) -> Any:
    """Import a command: a typer app, or a function that becomes one. Raises PluginError if a plugin's fails."""
    if isinstance(target, Component):
        command = plugin_command(target)
        command.name = name
        return command
    module, _, attribute = target.partition(":")
    return as_command(name, getattr(importlib.import_module(module), attribute))


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Region-aware perceptual losses: train, check recipes, list plugins, fetch weights, detect.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"regionloss {importlib.metadata.version('regionloss')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
    local_rank: Annotated[
        # DeepSpeed says it twice: so, and as LOCAL_RANK, which is read.
        int | None, typer.Option("--local_rank", "--local-rank", hidden=True)
    ] = None,
) -> None:
    """Warn of broken, clashing and slow plugins before any command runs."""
    known = catalogue()
    if not is_first_process():
        return
    for problem in (*map(str, known.broken), *known.clashes(), *map(str, known.slow)):
        typer.echo(f"warning: {problem}", err=True)


def run() -> None:
    """Entry point of the command `regionloss`."""
    # Before torch is there. Threads that wait by spinning take the cores that others, and they themselves, need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        # Names of files and texts in data may hold what no terminal, or not this one, can show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="regionloss")

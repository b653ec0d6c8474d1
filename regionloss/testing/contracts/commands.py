"""Contracts of what is registered beside the loss: hosts, trainers and commands."""

from __future__ import annotations

import contextlib
import inspect
import io
from typing import Any

from regionloss.hooks.commands import as_command
from regionloss.hooks.options import checked_options
from regionloss.hosts.host_spec import HostSpec


class HostContract:
    """A host is a `HostSpec` that names parameters of an existing loss."""

    def make(self) -> HostSpec:
        """Return the specification under test."""
        raise NotImplementedError

    def test_it_is_a_specification(self) -> None:
        """`regionloss.wrap` takes a `HostSpec` and nothing else."""
        spec = self.make()
        assert isinstance(spec, HostSpec), f"expected a HostSpec, got {type(spec).__name__}"


class TrainerContract:
    """A trainer is a class: its constructor is the schema of `trainer.options`, and `run` does the work."""

    def make(self) -> type[Any]:
        """Return the trainer's class."""
        raise NotImplementedError

    def test_it_runs(self) -> None:
        """An instance has a method `run` that can be called with one `TrainingRun`."""
        trainer: Any = self.make()
        assert inspect.isclass(trainer), f"expected a class, got {trainer!r}"
        run = getattr(trainer, "run", None)
        assert callable(run), "expected a method run(run: TrainingRun), got none"
        instance = inspect.isfunction(inspect.getattr_static(trainer, "run"))
        inspect.signature(run).bind(*[None] * (1 + instance))

    def test_a_misspelled_option_is_found(self) -> None:
        """The constructor's signature can be read, and names each option: no recipe has one that is lost."""
        unknown = "an_option_that_nobody_has"
        _, problems = checked_options(self.make(), {unknown: 1})
        told = any(problem.path == (unknown,) for problem in problems)
        assert told, "expected a constructor that names its options, got one with **"


class CommandContract:
    """A command is a typer app, or a function that typer makes one of."""

    def make(self) -> Any:
        """Return the app or the function."""
        raise NotImplementedError

    def test_it_helps(self) -> None:
        """`regionloss NAME --help` describes it."""
        command, said = as_command("command", self.make()), io.StringIO()
        with contextlib.redirect_stdout(said):
            command.main(["--help"], standalone_mode=False)
        assert "--help" in said.getvalue()

"""Runs of the tiny recipe, through the same loader as the command line's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from regionloss.recipe import TrainingRun, build_trainer, load_recipe

TINY = Path(__file__).with_name("tiny.yaml")


@pytest.fixture(scope="session")
def tiny_run() -> Callable[..., TrainingRun]:
    """Return a function that prepares a run of the tiny recipe, with overrides."""

    def prepare(out: Path, *overrides: str, resume: Path | None = None) -> TrainingRun:
        out.mkdir(parents=True, exist_ok=True)
        return TrainingRun(load_recipe(TINY, overrides), out, resume)

    return prepare


@pytest.fixture(scope="session")
def trained(tiny_run: Callable[..., TrainingRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one whole run of the tiny recipe."""
    out = tmp_path_factory.mktemp("trained") / "run"
    run = tiny_run(out)
    build_trainer(run.loaded).run(run)
    return out


@pytest.fixture(scope="session")
def trained_phases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one whole run of the three phases."""
    out = tmp_path_factory.mktemp("phases")
    run = TrainingRun(load_recipe(TINY.with_name("tiny_phases.yaml")), out)
    build_trainer(run.loaded).run(run)
    return out

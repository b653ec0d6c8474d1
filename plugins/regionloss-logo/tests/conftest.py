"""Logos that the study draws, as files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def study() -> ModuleType:
    """The study's module: logos, photographs, and pasting one on the other."""
    pytest.importorskip("skimage")
    file = Path(__file__).parents[3] / "studies" / "logo_detection" / "study.py"
    spec = importlib.util.spec_from_file_location("logo_detection_study", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def logos(study: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five logos."""
    folder = tmp_path_factory.mktemp("logos")
    for name, logo in study.drawn().items():
        logo.save(folder / f"{name}.png")
    return folder

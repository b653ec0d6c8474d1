"""Small autoencoders with random weights, a folder of images, and runs of the tiny recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from tests.autoencoders.small import model

TINY = Path(__file__).with_name("tiny.yaml")
Prepare = Callable[..., TrainingRun]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ten images."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(10):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8))
        coarse.resize((70, 60), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small AutoencoderKL."""
    folder = tmp_path_factory.mktemp("vae")
    model("sd").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prepare(photos: Path, vae: Path) -> Prepare:
    """Return a function that prepares a run of the tiny recipe, with overrides as a user types them."""

    def prepared(out: Path, *overrides: str, resume: bool = False) -> TrainingRun:
        out.mkdir(parents=True, exist_ok=True)
        loaded = load_recipe(TINY, [f"model.from={vae}", f"data.images={photos}", *overrides])
        return TrainingRun(loaded, out, out if resume else None)

    return prepared


@pytest.fixture(scope="session")
def tuned(prepare: Prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one whole run."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    run = prepare(out)
    build_trainer(run.loaded).run(run)
    return out

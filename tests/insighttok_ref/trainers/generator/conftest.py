"""Tokens of random pictures, and runs of the tiny recipe on them, through the same loader as the command line's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from insighttok_ref.tokens.files import SUFFIX, TokenFile, TokenHeader, write_tokens
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from tests.insighttok_ref.tokens.images import saved, tokenizer

TINY = Path(__file__).with_name("tiny.yaml")
CODES, GRID = 300, (4, 4)


def write(folder: Path, images: int, shards: int = 2, seed: int = 0, caption: str | None = "a {} door") -> Path:
    """Write tokens that repeat: of each image one code stands at all places but the last."""
    draw, count = np.random.RandomState(seed), GRID[0] * GRID[1]
    for shard in range(shards):
        ids = np.repeat(draw.randint(0, CODES, (images, 1)), count, 1)
        ids[:, -1] = draw.randint(0, CODES, images)
        header = TokenHeader(tokenizer(0, CODES).fingerprint, CODES, GRID, 8)
        keys = [f"{folder.name}-{shard}-{image}" for image in range(images)]
        captions = [caption and caption.format(ids[image, 0]) for image in range(images)]
        write_tokens(str(folder / f"{shard:03d}{SUFFIX}"), TokenFile(header, keys, captions, ids))
    return folder


def places(tokens: Path) -> list[str]:
    """Return what the tiny recipe does not say."""
    return [
        f"trainer.options.data.tokenizer={tokens / 'tokenizer.safetensors'}",
        *(f"trainer.options.data.sources.{name}.tokens={tokens / name}" for name in ("near", "far")),
    ]


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tokenizer and two sources of its tokens."""
    folder = tmp_path_factory.mktemp("tokens")
    saved(folder / "tokenizer.safetensors", codes=CODES)
    write(folder / "near", 7)
    write(folder / "far", 4, shards=3, seed=1)
    return folder


Prepare = Callable[..., TrainingRun]


@pytest.fixture(scope="session")
def tiny_run(tokens: Path) -> Prepare:
    """Return a function that prepares a run of the tiny recipe, with overrides."""

    def prepare(out: Path, *overrides: str, resume: Path | None = None) -> TrainingRun:
        out.mkdir(parents=True, exist_ok=True)
        return TrainingRun(load_recipe(TINY, [*places(tokens), *overrides]), out, resume)

    return prepare


@pytest.fixture(scope="session")
def trained(tiny_run: Prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one whole run of the tiny recipe."""
    out = tmp_path_factory.mktemp("trained") / "run"
    run = tiny_run(out)
    build_trainer(run.loaded).run(run)
    return out

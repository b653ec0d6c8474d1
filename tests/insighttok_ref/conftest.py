"""The published model's numbers, and the recipe of its random weights."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parents[1] / "golden" / "insighttok"


class Golden:
    """One .npz of published numbers, read as tensors."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(GOLDEN / name)

    def __getitem__(self, key: str) -> Tensor:
        value = torch.from_numpy(np.asarray(self.arrays[key]))
        return value.float() if value.is_floating_point() else value.long()

    def weights(self) -> dict[str, Tensor]:
        """State dict stored under `w/`, with the all-zero buffer that the file leaves out."""
        found = {key[2:]: self[key] for key in self.arrays.files if key.startswith("w/")}
        return found | {"quantize.codebook_used": torch.zeros(65536)}

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.arrays.files if key.startswith(prefix)]


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_a() -> Golden:
    return Golden("golden_a.npz")


@pytest.fixture(scope="session")
def golden_b() -> Golden:
    return Golden("golden_b.npz")


@pytest.fixture(scope="session")
def golden_quantizer() -> Golden:
    return Golden("golden_quantizer.npz")


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Seeded uniform(-1, 1) numbers that any numpy reproduces."""
    return np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="session")
def published_weights() -> Callable[[nn.Module], dict[str, Tensor]]:
    """Weights of golden_b: a function of each key's name and shape."""

    def weights(model: nn.Module) -> dict[str, Tensor]:
        return {key: _weight(key, tuple(value.shape)) for key, value in model.state_dict().items()}

    return weights


@pytest.fixture(scope="session")
def published_input() -> Tensor:
    return torch.from_numpy(uniform("x", (1, 3, 64, 64)))


def _weight(key: str, shape: tuple[int, ...]) -> Tensor:
    if key == "quantize.codebook_used":
        return torch.zeros(shape)
    module, _, kind = key.rpartition(".")
    a = torch.from_numpy(uniform(key, shape))
    if key == "quantize.cluster_size":
        return 1 + 0.5 * a
    if key.startswith("quantize."):
        return a
    if "norm" in module.rpartition(".")[2]:
        return 1 + 0.2 * a if kind == "weight" else 0.1 * a
    return 0.1 * a if kind == "bias" else a * float(np.float32(np.sqrt(3 / np.prod(shape[1:]))))

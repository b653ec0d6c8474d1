"""Two photographs in the public domain that installed packages ship: Eileen Collins (NASA), Grace Hopper (US Navy)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from regionloss import Regions


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"astronaut": skimage.data.astronaut(), "hopper": np.asarray(Image.open(hopper).convert("RGB"))}


@pytest.fixture(scope="session")
def cut(photographs) -> Callable[..., Tensor]:
    """Return a function that cuts a square from a photograph, as (1, 3, size, size) in [-1, 1]."""

    def square(photo: str, top: int, left: int, size: int, step: int = 1, **_: Any) -> Tensor:
        pixels = photographs[photo][top : top + size * step : step, left : left + size * step : step]
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

    return square


@pytest.fixture(scope="session")
def golden() -> dict[str, list[dict[str, Any]]]:
    return json.loads((Path(__file__).parent / "data" / "golden.json").read_text())


@pytest.fixture(scope="session")
def pair(cut) -> Tensor:
    """Both faces at 200 x 200: (2, 3, 200, 200)."""
    return torch.cat([cut("astronaut", 30, 130, 200), cut("hopper", 60, 60, 200, 2)])


#: Keypoints of `pair`, rounded, so that what needs no detector needs none.
KEYPOINTS = [
    [[75.0, 71.0], [117.0, 73.5], [94.5, 99.0], [71.5, 109.5], [115.5, 112.0]],
    [[80.5, 66.0], [124.5, 63.0], [104.5, 89.5], [86.0, 109.5], [123.0, 107.5]],
]


@pytest.fixture
def faces() -> Regions:
    """The two faces of `pair`."""
    boxes = torch.tensor([[50.0, 30, 138, 143], [57, 30, 147, 140]])
    return Regions("face", boxes, torch.tensor([0, 1]), (200, 200), 2, keypoints=torch.tensor(KEYPOINTS))

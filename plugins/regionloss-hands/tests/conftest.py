"""A hand that is drawn: its joints are known exactly, and no photograph is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from regionloss import Regions

#: x, y and the radius of the flesh at the 21 joints of an upright hand, the thumb on the left.
WRIST = (0.0, 50.0, 20.0)
THUMB = ((-14, 40, 14), (-33, 22, 12), (-50, 5, 10), (-60, -10, 8))
INDEX = ((-22, -8, 11), (-30, -38, 9.5), (-34, -58, 8.5), (-36, -74, 7.5))
MIDDLE = ((-6, -14, 11), (-9, -48, 10), (-10, -70, 9), (-11, -88, 8))
RING = ((10, -11, 11), (13, -43, 9.5), (15, -64, 8.5), (17, -81, 7.5))
PINKY = ((24, -2, 10), (33, -27, 8), (38, -43, 7), (42, -57, 6))
JOINTS = np.array([WRIST, *THUMB, *INDEX, *MIDDLE, *RING, *PINKY])
#: Palm first, then fingers over it, thumb last.
PALM = [(0, 1), (0, 5), (0, 9), (0, 13), (0, 17), (5, 9), (9, 13), (13, 17), (1, 9), (1, 13)]
BONES = [*PALM, *[(n, n + 1) for root in (17, 13, 9, 5, 1) for n in range(root, root + 3)]]
SKIN, BACKGROUND = np.array([205.0, 150, 120]), np.array([60.0, 80, 110])


def draw(
    size: int = 256, scale: float = 1.0, angle: float = 0.0, at: tuple[float, float] = (128.0, 128.0)
) -> tuple[Tensor, Tensor]:
    """Return a hand as (1, 3, size, size) in [-1, 1], and its joints (21, 2) in pixels."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    points, radii = JOINTS[:, :2] @ turn.T + at, JOINTS[:, 2] * scale
    forearm = np.array([2.0, 130.0]) @ turn.T + at
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    image = np.broadcast_to(BACKGROUND, (size, size, 3)).copy()
    limbs = [(points[0], forearm, radii[0], radii[0])]
    limbs += [(points[a], points[b], radii[a], radii[b]) for a, b in BONES]
    for start, end, first, last in limbs:
        bone = end - start
        along = (((x - start[0]) * bone[0] + (y - start[1]) * bone[1]) / (bone @ bone)).clip(0, 1)
        away = np.hypot(x - start[0] - along * bone[0], y - start[1] - along * bone[1])
        radius = first + (last - first) * along
        light = 0.75 + 0.3 * (1 - (away / radius).clip(0, 1) ** 2) ** 0.5
        cover = ((radius - away) / 2 + 0.5).clip(0, 1)[..., None]
        image = cover * np.minimum(SKIN * light[..., None], 255) + (1 - cover) * image
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    return pixels, torch.from_numpy(points).float()


@pytest.fixture(scope="session")
def drawn() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the function that draws a hand."""
    return draw


@pytest.fixture(scope="session")
def pair() -> Tensor:
    """Two images: one hand upright, one turned and smaller (2, 3, 256, 256)."""
    return torch.cat([draw()[0], draw(scale=0.6, angle=0.7, at=(100.0, 140.0))[0]])


@pytest.fixture
def hands() -> Regions:
    """The hands of `pair`, as they were drawn."""
    joints = torch.stack([draw(16)[1], draw(16, scale=0.6, angle=0.7, at=(100.0, 140.0))[1]])
    boxes = torch.cat([joints.amin(1) - 10, joints.amax(1) + 10], 1)
    return Regions("hand", boxes, torch.tensor([0, 1]), (256, 256), 2, keypoints=joints)


@pytest.fixture(scope="session")
def golden() -> dict[str, dict[str, Any]]:
    return json.loads((Path(__file__).parent / "data" / "golden.json").read_text())

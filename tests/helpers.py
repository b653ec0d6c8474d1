"""A small random network and regions, shared by the tests of the core."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regionloss import (
    AlignedExtractor,
    FeatureBackbone,
    InputSpec,
    RectifiedExtractor,
    RegionPerceptualLoss,
    Regions,
    ResizeExtractor,
)
from regionloss.extractors.base import RegionExtractor

TEMPLATE = ((6.0, 7.0), (14.0, 7.0), (10.0, 12.0), (7.0, 15.0), (13.0, 15.0))


class TwoLevels(nn.Module):
    """Two convolutions with batch normalisation between them; returns both levels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, stride=2)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.norm(self.first(images)).tanh()
        return [first, self.second(first).tanh()]


def backbone(**options: object) -> FeatureBackbone:
    torch.manual_seed(7)
    return FeatureBackbone(
        TwoLevels(), InputSpec(value_range=(0, 1), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)), **options
    )


def images(
    count: int = 3, size: tuple[int, int] = (40, 48), dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, *size, generator=generator, dtype=dtype) * 2 - 1


def text_regions(num_images: int | None = None) -> Regions:
    """Five boxes in images 0 and 2 of three, one across the border, none in image 1."""
    boxes = [[2, 3, 30, 13], [10.5, 20.25, 40.75, 31.5], [0, 0, 48, 40], [40, 30, 52, 44], [5, 5, 9, 8]]
    return Regions("text", torch.tensor(boxes), torch.tensor([2, 0, 2, 0, 2]), (40, 48), num_images)


def face_regions() -> Regions:
    """Three boxes with keypoints: upright, rotated by 30 degrees and shrunk twice, and one of another image."""
    points = torch.tensor(TEMPLATE)
    angle = torch.tensor(torch.pi / 6)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    centred = points - 10
    keypoints = torch.stack([points + 4, 2 * centred @ turn.T + 20, 1.3 * centred + torch.tensor([30.0, 18.0])])
    boxes = torch.cat([keypoints.amin(1) - 2, keypoints.amax(1) + 2], 1)
    return Regions("face", boxes, torch.tensor([0, 2, 2]), (40, 48), keypoints=keypoints)


def askew_regions() -> Regions:
    """Three words in images 0 and 2 of three: askew, seen from the side, and an upright one without corners."""
    quads = torch.tensor(
        [[[8.0, 4], [40, 16], [36, 27], [4, 15]], [[5, 10], [20, 8], [24, 30], [6, 22]], [[0.0, 0]] * 4]
    )
    quads[2] = torch.nan
    boxes = torch.tensor([[4.0, 4, 40, 27], [5, 8, 24, 30], [10.5, 20.25, 40.75, 31.5]])
    return Regions("text", boxes, torch.tensor([2, 0, 2]), (40, 48), quads=quads)


def text_loss(**options: object) -> RegionPerceptualLoss:
    return RegionPerceptualLoss(ResizeExtractor(size=(12, 20)), backbone(), **options)


def face_loss(**options: object) -> RegionPerceptualLoss:
    return RegionPerceptualLoss(aligned(), backbone(), **options)


def aligned(**options: object) -> AlignedExtractor:
    return AlignedExtractor(TEMPLATE, size=(20, 20), **options)


CASES: dict[str, tuple[RegionExtractor, Regions]] = {
    "text": (ResizeExtractor(size=(12, 20)), text_regions()),
    "face": (aligned(), face_regions()),
    "askew": (RectifiedExtractor((12, 20)), askew_regions()),
}


def loss_of(kind: str, **options: object) -> RegionPerceptualLoss:
    return RegionPerceptualLoss(CASES[kind][0], backbone(), **options)


def pair(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return images(3, seed=seed, dtype=dtype).requires_grad_(), images(3, seed=seed + 1, dtype=dtype)

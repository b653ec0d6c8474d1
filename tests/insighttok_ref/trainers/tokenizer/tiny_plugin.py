"""A region term that needs no weight files: two fixed random convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regionloss import FeatureBackbone, InputSpec, hookimpl


class TwoLevels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator) * 0.3

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.first(images).tanh()
        return [first, self.second(first).tanh()]


class TinyBackbone(FeatureBackbone):
    def __init__(self) -> None:
        super().__init__(TwoLevels(), InputSpec())


@hookimpl
def register_feature_backbones(register) -> None:
    register("tiny", f"{__name__}:TinyBackbone", licence="Apache-2.0", summary="fixed random convolutions")


@hookimpl
def register_terms(register) -> None:
    register(
        "tiny-text",
        kind="text",
        extractor="resize",
        backbone="tiny",
        options={"extractor": {"size": [16, 32]}},
        licence="Apache-2.0",
        summary="text, through fixed random convolutions",
    )

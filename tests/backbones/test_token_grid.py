"""Tokens of transformers as maps, against laying them out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regionloss import FeatureBackbone, InputSpec
from regionloss.distances import SquaredL2
from regionloss.errors import InputError


class Patches(nn.Module):
    """The patches of an image, their pixels as channels, behind tokens that are of no place."""

    def __init__(self, prefix: int, patch: int = 8) -> None:
        super().__init__()
        self.prefix, self.patch = prefix, patch

    def forward(self, images: Tensor) -> Tensor:
        tokens = nn.functional.unfold(images, self.patch, stride=self.patch).transpose(1, 2)
        return torch.cat([torch.full_like(tokens[:, :1], 7.0).expand(-1, self.prefix, -1), tokens], 1)


@pytest.mark.parametrize(("prefix", "size"), [(0, (32, 128)), (1, (64, 64)), (5, (24, 40)), (1, (8, 8))])
def test_tokens_are_laid_out_as_their_image(prefix: int, size: tuple[int, int]) -> None:
    crops = torch.rand(2, 3, *size) * 2 - 1
    (level,) = FeatureBackbone(Patches(prefix), InputSpec(), prefix_tokens=prefix)(crops)
    assert level.shape == (2, 3 * 64, size[0] // 8, size[1] // 8)
    for row in range(size[0] // 8):
        for column in range(size[1] // 8):
            patch = crops[:, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
            torch.testing.assert_close(level[:, :, row, column], patch.flatten(1))


def test_the_distance_is_the_sum_over_channels_and_the_mean_over_patches() -> None:
    """Read as (R, C, L), tokens would be summed and channels averaged: another number by their ratio."""
    ours, theirs = torch.rand(2, 2, 3, 32, 64).double().unbind(0)
    backbone = FeatureBackbone(Patches(1), InputSpec(), prefix_tokens=1)
    found = SquaredL2()(backbone(ours), backbone(theirs))
    torch.testing.assert_close(found, (ours - theirs).square().flatten(1).sum(1) / (4 * 8))


def test_what_nobody_called_tokens_is_refused_and_counted() -> None:
    with pytest.raises(InputError) as told:
        FeatureBackbone(Patches(5), InputSpec())(torch.zeros(2, 3, 32, 64))
    assert str(told.value) == (
        "FeatureBackbone: expected maps (R, C, h, w) or vectors (R, C), got (2, 37, 192). "
        "If these are tokens (5 + 4 x 8), say prefix_tokens=5; else return maps."
    )
    with pytest.raises(
        InputError, match=r"expected 2 tokens and a grid of square patches, of crops of 32 x 64, got 37 "
    ):
        FeatureBackbone(Patches(5), InputSpec(), prefix_tokens=2)(torch.zeros(2, 3, 32, 64))


def test_levels_that_are_not_chosen_may_be_anything() -> None:
    class Two(Patches):
        def forward(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]
            return [super().forward(images), images]

    (level,) = FeatureBackbone(Two(1), InputSpec(), out_indices=[1])(torch.zeros(1, 3, 32, 64))
    assert level.shape == (1, 3, 32, 64)

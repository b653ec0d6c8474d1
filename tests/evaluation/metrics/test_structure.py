"""Structural similarity where its value is known without computing it."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError
from regionloss.evaluation.metrics import ssim
from regionloss.evaluation.metrics.structure import C1


def noise(height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_equal_images_are_exactly_one() -> None:
    for image in (noise(), torch.zeros(1, 3, 20, 30), torch.ones(1, 3, 20, 30), -torch.ones(1, 3, 11, 11)):
        assert ssim(image, image).item() == 1.0


def test_constant_images_have_a_closed_form() -> None:
    a, b = 0.5, -0.25
    found = ssim(torch.full((1, 3, 20, 30), a).double(), torch.full((1, 3, 20, 30), b).double())
    assert found.item() == pytest.approx((2 * a * b + C1) / (a * a + b * b + C1), rel=1e-12)


def test_what_no_viewer_shows_is_clipped() -> None:
    image = noise() * 3
    assert ssim(image, image.clamp(-1, 1)).item() == 1.0


def test_an_image_is_compared_alone() -> None:
    first, second = noise(), noise().flip(3)
    both = ssim(torch.cat([first, second]), torch.cat([second, second]))
    assert both.tolist() == [ssim(first, second).item(), 1.0]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (10, 40), (40, 10)])
def test_images_below_the_window_are_named(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"11 pixels a side or more, got {size[0]} x {size[1]}"):
        ssim(noise(*size), noise(*size))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        ssim(noise(), noise(21))

"""Structural similarity and Fréchet distance against torchmetrics, which is what papers use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from regionloss.evaluation.metrics import frechet_distance, kernel_distance, moments, ssim


def images(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A picture with edges, flats and noise, and another."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.nn.functional.avg_pool2d(torch.rand(2, 3, height + 6, width + 6, generator=generator), 7, 1) * 4 - 2
    target[:, :, height // 3 : height // 2] = 1.0
    return target + 0.2 * torch.randn(target.shape, generator=generator), target.clamp(-1, 1)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (64, 33), (96, 128)])
def test_ssim_equals_torchmetrics(size: tuple[int, int]) -> None:
    output, target = images(*size)
    wanted = structural_similarity_index_measure(output.double(), target.double(), data_range=(-1, 1), reduction="none")
    assert ssim(output.double(), target.double()).tolist() == pytest.approx(wanted.tolist(), abs=1e-12)
    assert ssim(output, target).tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


class Rows(nn.Module):
    """Reads a row of features from an image's bytes, so that torchmetrics is given these very features."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, : self.num_features].double() / 32 - 4


def features(count: int, seed: int, shift: int = 0) -> tuple[Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(20, 200, (count, 3, 2, 2), generator=generator)
    pixels[:, 1] = (pixels[:, 0] + pixels[:, 1]) // 2 + shift  # correlated
    pixels = pixels.to(torch.uint8)
    return pixels, Rows()(pixels).numpy()


@pytest.mark.parametrize("count", [5, 300])
def test_frechet_distance_equals_torchmetrics(count: int) -> None:
    """With fewer rows than features, too, where the product of the covariances has no full rank."""
    metric = FrechetInceptionDistance(feature=Rows(), normalize=False).set_dtype(torch.float64)
    (real, first), (fake, second) = features(count, 0), features(count, 1, shift=30)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    found = frechet_distance(moments([first]), moments([second]))
    assert found == pytest.approx(float(metric.compute()), rel=1e-5)


def test_kernel_distance_is_that_of_kid_but_for_the_pairs_of_the_same_image() -> None:
    _, first = features(40, 2)
    _, second = features(40, 3, shift=9)
    whole = float(poly_mmd(torch.from_numpy(first), torch.from_numpy(second)))
    same = (((first * second).sum(1) / 12 + 1) ** 3).sum()
    between = ((first @ second.T / 12 + 1) ** 3).sum()
    wanted = whole + 2 * between / 40**2 - 2 * (between - same) / (40 * 39)
    assert kernel_distance([first], [second]) == pytest.approx(wanted, rel=1e-10)

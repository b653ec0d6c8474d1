"""Aligned crops, against scikit-image, kornia and plain bilinear reads."""

from __future__ import annotations

import kornia
import numpy as np
import pytest
import torch
from skimage.transform import estimate_transform

from regionloss import Regions
from regionloss.extractors.similarity import fit_similarity
from tests.helpers import TEMPLATE, aligned, face_regions, images


def test_similarity_equals_scikit_image() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(20, 5, 2, generator=generator, dtype=torch.float64) * 200
    template = torch.tensor(TEMPLATE, dtype=torch.float64)
    matrix, offset = fit_similarity(points, template)
    for i in range(20):
        reference = estimate_transform("similarity", points[i].numpy(), template.numpy()).params
        np.testing.assert_allclose(matrix[i].numpy(), reference[:2, :2], atol=1e-10)
        np.testing.assert_allclose(offset[i].numpy(), reference[:2, 2], atol=1e-8)


def test_similarity_leaves_unknown_points_out() -> None:
    points = face_regions().keypoints.double()
    template = torch.tensor(TEMPLATE, dtype=torch.float64)
    holes = points.clone()
    holes[:, 2] = torch.nan
    known = [0, 1, 3, 4]
    for ours, expected in zip(
        fit_similarity(holes, template), fit_similarity(points[:, known], template[known]), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_identity_is_exact() -> None:
    batch = images(1, (40, 48), torch.float32)
    keypoints = torch.tensor([TEMPLATE]) + torch.tensor([5.0, 8.0])
    regions = Regions("face", torch.tensor([[5.0, 8, 25, 28]]), torch.tensor([0]), (40, 48), keypoints=keypoints)
    torch.testing.assert_close(aligned()(batch, regions)[0], batch[0, :, 8:28, 5:25], atol=2e-5, rtol=0)


def test_rotated_crop_equals_kornia() -> None:
    """Regions that are not shrunk are plain bilinear reads, as kornia's warp_affine makes them."""
    batch = images(3)
    regions = face_regions().select(torch.tensor([0, 2]))
    turned = regions.keypoints.double() @ torch.linalg.matrix_exp(
        torch.tensor([[0, 0.3], [-0.3, 0]], dtype=torch.float64)
    )
    scale = 0.9 * 8 / (turned[:, 0] - turned[:, 1]).norm(dim=1)[:, None, None]
    turned = (turned - turned.mean(1, keepdim=True)) * scale + 22
    regions = Regions("face", regions.boxes, regions.image_index, (40, 48), keypoints=turned)
    crops = aligned()(batch, regions)
    matrix, offset = fit_similarity(turned, torch.tensor(TEMPLATE, dtype=torch.float64))
    # kornia counts pixel centres from 0, we from 0.5.
    offset = offset + (matrix @ torch.full((2, 1), 0.5, dtype=torch.float64))[..., 0] - 0.5
    affine = torch.cat([matrix, offset[..., None]], 2)
    sources = batch[regions.image_index]
    expected = kornia.geometry.warp_affine(sources, affine, (20, 20), padding_mode="border", align_corners=True)
    torch.testing.assert_close(crops, expected, atol=1e-6, rtol=0)


def test_shrinking_is_anti_aliased() -> None:
    """A region four times the template, over noise: the crop is close to the area mean, a bilinear read is not."""
    batch = images(1, (160, 160), torch.float64)
    keypoints = torch.tensor([TEMPLATE], dtype=torch.float64) * 4 + 40
    regions = Regions("face", torch.tensor([[40.0, 40, 120, 120]]), torch.tensor([0]), (160, 160), keypoints=keypoints)
    crop = aligned()(batch, regions)[0]
    area = torch.nn.functional.avg_pool2d(batch[0, :, 40:120, 40:120], 4)
    single = batch[0, :, 41:120:4, 41:120:4]
    assert (crop - area).square().mean() < 0.15 * (single - area).square().mean()
    assert crop.std() < 1.3 * area.std()


def test_outside_is_black_or_the_border() -> None:
    keypoints = torch.tensor([TEMPLATE]) - torch.tensor([10.0, 0.0])
    regions = Regions("face", torch.tensor([[-10.0, 0, 10, 20]]), torch.tensor([0]), (40, 48), keypoints=keypoints)
    batch = images(1, (40, 48), torch.float32)
    black, border = aligned(padding="black")(batch, regions)[0], aligned()(batch, regions)[0]
    assert torch.allclose(black[:, :, :9], torch.tensor(-1.0))
    torch.testing.assert_close(border[:, :, :9], batch[0, :, :20, :1].expand(-1, -1, 9), atol=2e-5, rtol=0)


def test_too_few_keypoints_fall_back_to_the_box() -> None:
    batch = images(1, (40, 48), torch.float32).requires_grad_()
    keypoints = torch.full((1, 5, 2), torch.nan)
    regions = Regions("face", torch.tensor([[4.0, 6, 24, 26]]), torch.tensor([0]), (40, 48), keypoints=keypoints)
    crop = aligned()(batch, regions)
    torch.testing.assert_close(crop[0], batch[0, :, 6:26, 4:24], atol=2e-5, rtol=0)
    crop.sum().backward()
    assert batch.grad.isfinite().all()


def test_gradcheck() -> None:
    batch = images(3, (40, 48))[..., :12, :12].contiguous().requires_grad_()
    keypoints = torch.tensor([[[2.0, 2], [8, 3], [5, 6], [3, 9], [8, 9]]], dtype=torch.float64).repeat(2, 1, 1)
    keypoints[1] = keypoints[1] * 1.4
    extractor = type(aligned())([(1.0, 1), (4, 1), (2.5, 2.5), (1, 4), (4, 4)], size=(5, 5))
    regions = Regions("face", torch.tensor([[1.0, 1, 10, 10]] * 2), torch.tensor([0, 2]), (12, 12), keypoints=keypoints)
    assert torch.autograd.gradcheck(lambda x: extractor(x, regions), batch)


def test_autocast_leaves_geometry_alone() -> None:
    batch, regions = images(3, dtype=torch.float32), face_regions()
    expected = aligned()(batch, regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(aligned()(batch, regions), expected)


def test_without_keypoints_it_is_a_sentence() -> None:
    regions = Regions("face", torch.tensor([[4.0, 6, 24, 26]]), torch.tensor([0]), (40, 48))
    with pytest.raises(ValueError, match=r"regions\['face'\]\.keypoints: expected 5 keypoints a region, got none\."):
        aligned()(images(1), regions)

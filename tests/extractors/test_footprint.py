"""What a shrunk crop's pixels see: aligned crops against SciPy and closed forms, boxes beyond the border by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.transform import estimate_transform

from regionloss import Regions, ResizeExtractor
from tests.helpers import TEMPLATE, aligned, images

SIZE = (200, 200)


def keypoints(shrink: float, angle: float = 0.4, centre: float = 100.0) -> np.ndarray:
    """Return a template that was enlarged, turned and shifted: (5, 2)."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (np.array(TEMPLATE) - 10) * shrink @ turn.T + centre


def crop(batch: torch.Tensor, points: np.ndarray) -> np.ndarray:
    regions = Regions(
        "face", torch.tensor([[10.0, 10, 190, 190]]), torch.tensor([0]), SIZE, keypoints=torch.from_numpy(points)[None]
    )
    return aligned()(batch, regions)[0].numpy()


def by_scipy(image: np.ndarray, points: np.ndarray, reads: int = 24) -> np.ndarray:
    """The mean over a crop pixel's footprint, by 576 reads of the nearest pixel; enlarged, one bilinear read."""
    back = estimate_transform("similarity", points, np.array(TEMPLATE)).inverse
    order, reads = (1, 1) if back.scale <= 1 else (0, reads)
    along = ((np.arange(20)[:, None]) + (np.arange(reads) + 0.5) / reads).ravel()
    y, x = np.meshgrid(along, along, indexing="ij")
    places = back(np.stack([x.ravel(), y.ravel()], 1))[:, ::-1].T - 0.5
    read = [ndimage.map_coordinates(channel, places, order=order, mode="nearest") for channel in image]
    return np.stack(read).reshape(3, 20, reads, 20, reads).mean((2, 4))


@pytest.mark.parametrize("shrink", [0.7, 1.0, 1.2, 1.5, 2.0, 2.7, 3.2, 6.0, 8.0])
@pytest.mark.parametrize("centre", [100.0, 30.0], ids=["inside", "across the border"])
def test_noise_is_averaged_over_the_footprint(shrink: float, centre: float) -> None:
    """White noise, which differs from pixel to pixel: reads too few, too near or beside their place are others."""
    batch, points = images(1, SIZE), keypoints(shrink, centre=centre)
    ours, theirs = crop(batch, points), by_scipy(batch[0].numpy(), points)
    assert np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()) < 0.1


@pytest.mark.parametrize("shrink", [1.2, 1.5, 2.0, 2.7, 3.2, 5.0])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_every_pixel_of_the_image_has_its_share_of_the_gradient(shrink: float, angle: float) -> None:
    """Of the gradient of a crop's sum a pixel's share is the crop pixels' density, whose inverse is their area."""
    batch = torch.zeros(1, 3, *SIZE, dtype=torch.float64, requires_grad=True)
    points = torch.from_numpy(keypoints(shrink, angle)[None])
    regions = Regions("face", torch.tensor([[10.0, 10, 190, 190]]), torch.tensor([0]), SIZE, keypoints=points)
    aligned()(batch, regions).sum().backward()
    half = int(4 * shrink)
    shares = batch.grad[0, 0, 100 - half : 100 + half, 100 - half : 100 + half] * shrink**2
    assert shares.mean() == pytest.approx(1, abs=0.05)
    assert 0.6 < shares.min() < shares.max() < 1.5


@pytest.mark.parametrize("shrink", [1.0, 1.3, 2.0, 3.2, 6.0, 7.0])
def test_a_slope_is_read_where_the_transform_says(shrink: float) -> None:
    """Of an image that shows its own coordinates every mean is the coordinate of the pixel's centre, exactly."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) + 0.5 for n in SIZE), indexing="ij")
    points = keypoints(shrink)
    found = crop(torch.stack([x, y, x + y])[None], points)
    back = estimate_transform("similarity", points, np.array(TEMPLATE)).inverse
    centres = np.stack(np.meshgrid(np.arange(20) + 0.5, np.arange(20) + 0.5), -1)
    expected = back(centres.reshape(-1, 2)).reshape(20, 20, 2)
    np.testing.assert_allclose(found[0], expected[..., 0], atol=1e-6)
    np.testing.assert_allclose(found[1], expected[..., 1], atol=1e-6)


@pytest.mark.parametrize("bare", [False, True], ids=["keypoints", "boxes"])
def test_regions_that_the_host_does_not_know_are_read_alike(bare: bool) -> None:
    """As regions made on an accelerator: without bounds known, none may be read less than it needs."""
    points = torch.from_numpy(np.stack([keypoints(5.5), keypoints(2.0), keypoints(1.0)]))
    boxes = torch.tensor([[20.0, 20, 180, 180], [80, 80, 120, 120], [90, 90, 110, 110]])
    if bare:
        points = torch.full_like(points, torch.nan)
    regions = Regions("face", boxes, torch.tensor([1, 0, 1]), SIZE, 2, keypoints=points)
    batch = images(2, SIZE)
    known = aligned()(batch, regions)
    object.__setattr__(regions, "layout", None)
    torch.testing.assert_close(aligned()(batch, regions), known)
    if bare:  # what no keypoint turns is a box: its pixels are means of whole squares of the image
        squares = torch.nn.functional.avg_pool2d(batch[1, :, 20:180, 20:180], 8)
        assert (known[0] - squares).square().mean() < 0.15 * squares.square().mean()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_beyond_the_border_a_box_is_read_as_on_it(scale: int) -> None:
    """A plain loop: each crop pixel a triangle around its centre, drawn onto the border's, over the image's pixels."""
    batch = images(1, (32, 32))
    low, size = -4 * scale, 12
    box = [low, 0, low + size * scale, size * scale]
    regions = Regions("text", torch.tensor([box], dtype=torch.float64), torch.tensor([0]), (32, 32))
    small = ResizeExtractor((size, size))(batch, regions)[0]
    columns = [min(max(low + (j + 0.5) * scale, 0.5), 31.5) for j in range(size)]
    rows = [min((i + 0.5) * scale, 31.5) for i in range(size)]
    last = min(size * scale, 32), min(low + size * scale, 32)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            down = np.maximum(0, 1 - np.abs(np.arange(last[0]) + 0.5 - y) / scale)
            right = np.maximum(0, 1 - np.abs(np.arange(last[1]) + 0.5 - x) / scale)
            weights = np.outer(down / down.sum(), right / right.sum())
            expected = (batch[0, :, : last[0], : last[1]].numpy() * weights).sum((1, 2))
            np.testing.assert_allclose(small[:, i, j].numpy(), expected, atol=1e-12)
    if scale == 1:
        repeated = torch.nn.functional.pad(batch, (4, 0, 0, 0), mode="replicate")[0, :, :size, :size]
        torch.testing.assert_close(small, repeated)

"""Crops of quadrilaterals, against OpenCV's perspective warp, a plain loop over pixels and reads, and resized boxes."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import triang

from regionloss import RectifiedExtractor, Regions, ResizeExtractor
from regionloss.errors import InputError
from regionloss.extractors.quadrilateral import homography
from regionloss.regions import quads as shapes
from tests.helpers import images

SIZE = (120, 160)
NONE = [[torch.nan] * 2] * 4


def turned(angle: float, sides: tuple[float, float] = (90.0, 22.0), centre: tuple[float, float] = (80.3, 59.8)) -> list:
    """Corners of a rectangle turned by so many degrees, clockwise as seen."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = np.array([-1, 1, 1, -1]) * sides[0] / 2, np.array([-1, -1, 1, 1]) * sides[1] / 2
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], 1).tolist()


TILTED = [[20.5, 30.25], [110.0, 12.0], [131.0, 60.0], [28.0, 71.5]]  # seen from the side: no two edges are parallel


def words(*quads: list, index: tuple[int, ...] = (), dtype: torch.dtype = torch.float64) -> Regions:
    corners = torch.tensor(quads, dtype=dtype)
    box = torch.tensor([10.25, 20, 70, 41.5], dtype=dtype)
    boxes = torch.where(shapes.known(corners)[:, None], shapes.hulls(corners), box)
    return Regions("text", boxes, torch.tensor(index or (0,) * len(quads)), SIZE, max(index, default=0) + 1,
                   quads=corners)  # fmt: skip


def test_the_map_is_opencv_s() -> None:
    unit = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
    for quad in (turned(0), turned(37), turned(-120), TILTED):
        expected = cv2.getPerspectiveTransform(unit, np.float32(quad))
        ours = homography(torch.tensor([quad], dtype=torch.float64))[0].numpy()
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("angle", [0, 7, 20, 45, 90, 133, 180, -75])
@pytest.mark.parametrize("sides", [(100, 28), (60, 20)])
def test_a_blurred_image_is_warped_as_opencv_does(angle: float, sides: tuple[float, float]) -> None:
    """At 32 x 128 and enlarged only: what OpenCV reads is bilinear, too; its centre of the first pixel is 0."""
    noise = np.random.default_rng(0).random((*SIZE, 3))
    picture = ndimage.gaussian_filter(noise, (3, 3, 0)) * 8 - 4
    quad = turned(angle, sides)
    canvas = np.float32([[0, 0], [128, 0], [128, 32], [0, 32]]) - 0.5
    to_crop = cv2.getPerspectiveTransform(np.float32(quad) - 0.5, canvas)
    expected = cv2.warpPerspective(picture.astype(np.float32), to_crop, (128, 32), flags=cv2.INTER_LINEAR,
                                   borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    crop = RectifiedExtractor()(torch.from_numpy(picture).permute(2, 0, 1)[None], words(quad))[0]
    np.testing.assert_allclose(crop.permute(1, 2, 0).numpy(), expected, atol=0.02)


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    x, y = min(max(x - 0.5, 0), image.shape[2] - 1), min(max(y - 0.5, 0), image.shape[1] - 1)
    left, top = min(int(x), image.shape[2] - 2), min(int(y), image.shape[1] - 2)
    across, down = x - left, y - top
    corner = image[:, top : top + 2, left : left + 2]
    return (corner * np.outer([1 - down, down], [1 - across, across])).sum((1, 2))


def plain_loop(image: np.ndarray, quad: list, size: tuple[int, int]) -> np.ndarray:
    """One pixel and one read at a time; the map from eight linear equations."""
    rows, corners = [], np.array(quad)
    height, width = size
    for (u, v), (x, y) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
    lift = np.append(np.linalg.solve(np.array(rows), corners.ravel()), 1).reshape(3, 3)
    lengths = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    places = []
    for side, count in ((max(lengths[0], lengths[2]), width), (max(lengths[1], lengths[3]), height)):
        shrink = max(side / count, 1)
        reads = next(n for n in (1, 2, 4, 8) if n * 1.1 * 1.0005 > math.sqrt(2 * shrink**2 - 1) or n == 8)
        middles = triang.ppf((np.arange(reads) + 0.5) / reads, 0.5, -1, 2)
        places.append(middles / max(middles.std(), 1e-9) * math.sqrt((1 - shrink**-2) / 6))
    crop = np.zeros((3, height, width))
    for i in range(height):
        for j in range(width):
            for down in places[1]:
                for across in places[0]:
                    x, y, w = lift @ [j + 0.5 + across, i + 0.5 + down, 1]
                    crop[:, i, j] += bilinear(image, x / w, y / w) / (len(places[0]) * len(places[1]))
    return crop


@pytest.mark.parametrize("size", [(32, 96), (8, 24), (5, 60), (2, 6)])
def test_agrees_with_a_plain_loop(size: tuple[int, int]) -> None:
    """Enlarged, shrunk, one of each, and shrunk beyond the most reads; one corner lies outside the image."""
    batch = images(2, SIZE)
    beyond = turned(30, (80.0, 30.0), (120.0, 100.0))
    regions = words(TILTED, turned(-50), beyond, index=(1, 0, 1))
    crops = RectifiedExtractor(size)(batch, regions)
    for crop, quad, image in zip(crops, (TILTED, turned(-50), beyond), (1, 0, 1), strict=True):
        np.testing.assert_allclose(crop.numpy(), plain_loop(batch[image].numpy(), quad, size), atol=1e-10)


def test_a_region_without_corners_is_resized_to_the_last_bit() -> None:
    batch = images(2, SIZE, torch.float32)
    mixed = words(NONE, TILTED, NONE, index=(0, 1, 1), dtype=torch.float32)
    bare = mixed.changed(quads=None).laid_out()
    expected = ResizeExtractor()(batch, bare)
    crops = RectifiedExtractor()(batch, mixed)
    assert torch.equal(crops[[0, 2]], expected[[0, 2]])
    assert torch.equal(RectifiedExtractor()(batch, bare), expected)
    alone = words(TILTED, dtype=torch.float32)
    torch.testing.assert_close(RectifiedExtractor()(batch[1:], alone)[0], crops[1])


@pytest.mark.parametrize("sides", [(60, 20), (128, 32), (150, 100)])
def test_upright_corners_are_read_nearly_as_their_box(sides: tuple[int, int]) -> None:
    """Words of blurred noise: what differs is the edge, where a box reads nothing outside, and the filter's shape."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((3, *SIZE)), (0, 2, 2))
    batch = torch.from_numpy((noise - noise.mean()) / noise.std())[None]
    regions = words(turned(0, sides, (80.0, 60.0)))
    ours, boxes = RectifiedExtractor()(batch, regions), ResizeExtractor()(batch, regions)
    assert (ours - boxes).square().mean() < 0.003 * boxes.square().mean()


@pytest.mark.parametrize("angle", [0, 10, 20, 45, 90, 180])
def test_a_turned_image_gives_the_crop_of_the_upright_one(angle: float) -> None:
    """The picture itself is turned, by SciPy's splines, about its middle, and the corners with it."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).random((3, 160, 160)), (0, 3, 3)) * 20 - 10
    back = np.array([[math.cos(t := math.radians(angle)), -math.sin(t)], [math.sin(t), math.cos(t)]])
    middle = np.array([79.5, 79.5])
    spun = np.stack([ndimage.affine_transform(c, back, middle - back @ middle, order=3) for c in noise])
    straight, askew = (
        Regions("text", shapes.hulls(q), torch.tensor([0]), (160, 160), quads=q)
        for q in (torch.tensor([turned(a, (70, 24), (80.0, 80.0))], dtype=torch.float64) for a in (0, angle))
    )
    for size in ((32, 128), (12, 36)):
        extractor = RectifiedExtractor(size, tall=None)
        expected = extractor(torch.from_numpy(noise)[None], straight)
        found = extractor(torch.from_numpy(spun)[None], askew)
        assert (found - expected).square().mean() < 1e-3 * (expected - expected.mean()).square().mean()


def test_tall_words_are_turned_to_the_left() -> None:
    batch = images(1, SIZE)
    tall, low = turned(0, (20.0, 60.0)), turned(0, (20.0, 23.0))
    crops = RectifiedExtractor((8, 24))(batch, words(tall, low))
    lying = torch.rot90(batch, 1, (2, 3))  # np.rot90, as PP-OCR turns what is higher than wide
    x, y = torch.tensor([tall], dtype=torch.float64).unbind(2)
    there = torch.stack([y, 160 - x], 2).roll(-1, 1)
    regions = Regions("text", shapes.hulls(there), torch.tensor([0]), SIZE[::-1], quads=there)
    torch.testing.assert_close(crops[:1], RectifiedExtractor((8, 24), tall=None)(lying, regions))
    as_they_are = RectifiedExtractor((8, 24), tall=None)(batch, words(tall, low))
    torch.testing.assert_close(as_they_are[1], crops[1])
    assert not torch.equal(as_they_are[0], crops[0])


def test_a_crop_does_not_depend_on_the_other_regions() -> None:
    """Small ones and large ones, tall ones and low ones need other numbers of reads, which shapes the batch's grid."""
    batch = images(1, SIZE)
    given = [turned(20, (30.0, 8.0)), turned(-70, (140.0, 90.0)), turned(5, (12.0, 100.0)), TILTED]
    for extractor in (RectifiedExtractor((8, 32)), RectifiedExtractor((8, 32), tall=None)):
        together = extractor(batch, words(*given))
        for number, quad in enumerate(given):
            torch.testing.assert_close(extractor(batch, words(quad))[0], together[number], atol=1e-13, rtol=0)


def test_regions_that_the_host_does_not_know_are_read_alike() -> None:
    batch, regions = images(2, SIZE), words(TILTED, NONE, turned(80), index=(0, 1, 1))
    known = RectifiedExtractor((8, 32))(batch, regions)
    object.__setattr__(regions, "layout", None)
    blind = words(TILTED, NONE, turned(80), index=(0, 1, 1))
    from regionloss.regions.layout import Layout

    layout = Layout.unknown(blind.boxes, blind.image_index, None, SIZE, blind.quads)
    torch.testing.assert_close(RectifiedExtractor((8, 32))(batch, blind.changed(layout=layout)), known)


def test_gradcheck() -> None:
    batch = images(2, (12, 14)).requires_grad_()
    quads = torch.tensor([[[2.0, 1], [11, 3], [10, 8], [1, 5]], NONE, [[4.0, -2], [9, 0], [7, 9], [3, 8]]]).double()
    boxes = torch.tensor([[1.0, 1, 11, 8], [3, 2, 9, 7], [3, 0, 9, 9]], dtype=torch.float64)
    regions = Regions("text", boxes, torch.tensor([1, 0, 1]), (12, 14), quads=quads)
    assert torch.autograd.gradcheck(lambda x: RectifiedExtractor((3, 5))(x, regions), batch)


@pytest.mark.parametrize("shrink", [1.2, 2.0, 3.0])
@pytest.mark.parametrize("angle", [0, 25])
def test_every_pixel_of_the_image_has_its_share_of_the_gradient(shrink: float, angle: float) -> None:
    batch = torch.zeros(1, 3, *SIZE, dtype=torch.float64, requires_grad=True)
    size = (int(60 / shrink), int(90 / shrink))
    quad = turned(angle, (size[1] * shrink, size[0] * shrink))
    RectifiedExtractor(size)(batch, words(quad)).sum().backward()
    shares = batch.grad[0, 0, 45:75, 65:95] * shrink**2
    assert shares.mean() == pytest.approx(1, abs=0.03)
    assert 0.6 < shares.min() < shares.max() < 2.1, "single bilinear reads: 0 to 9"


def test_padding_and_tiny_shapes_give_finite_gradients() -> None:
    batch = images(1, SIZE, torch.float32).requires_grad_()
    small = words(turned(30, (0.01, 0.01)), TILTED, dtype=torch.float32).padded((4,))
    crops = RectifiedExtractor()(batch, small)
    crops.sum().backward()
    assert crops.isfinite().all()
    assert batch.grad.isfinite().all()


@pytest.mark.parametrize("tall", [0.5, float("nan"), "1.2", -1])
def test_a_ratio_that_makes_no_sense_is_a_sentence(tall: object) -> None:
    with pytest.raises(InputError, match=r"^rectified\.tall: expected a ratio of 1 or more, or none, got "):
        RectifiedExtractor(tall=tall)  # type: ignore[arg-type]

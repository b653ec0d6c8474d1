"""Crops of boxes, against Pillow, torchvision and torch's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from regionloss import LetterboxExtractor, Regions, ResizeExtractor
from tests.helpers import images

BOXES = [[3, 4, 7, 9], [0, 0, 64, 48], [10, 5, 42, 21], [33, 20, 64, 48], [1, 1, 60, 4]]  # grown, shrunk, equal, mixed


def whole_boxes(size: tuple[int, int] = (48, 64)) -> Regions:
    return Regions("text", torch.tensor(BOXES, dtype=torch.float64), torch.tensor([1, 0, 1, 0, 1]), size)


@pytest.mark.parametrize("size", [(32, 128), (16, 32), (5, 7)])
def test_equals_pillow(size: tuple[int, int]) -> None:
    batch = images(2, (48, 64), torch.float32)
    crops = ResizeExtractor(size)(batch, whole_boxes())
    for crop, box, i in zip(crops, BOXES, [1, 0, 1, 0, 1], strict=True):
        for channel in range(3):
            picture = Image.fromarray(batch[i, channel].numpy()).crop(box)
            expected = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
            np.testing.assert_allclose(crop[channel].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("size", [(32, 128), (16, 32), (5, 7)])
def test_equals_torchvision(size: tuple[int, int]) -> None:
    batch = images(2, (48, 64), torch.float32)
    crops = ResizeExtractor(size)(batch, whole_boxes())
    for crop, (x1, y1, x2, y2), i in zip(crops, BOXES, [1, 0, 1, 0, 1], strict=True):
        expected = TF.resized_crop(batch[i], y1, x1, y2 - y1, x2 - x1, list(size), antialias=True)
        torch.testing.assert_close(crop, expected, atol=2e-6, rtol=0)


def test_identity_boxes_are_exact() -> None:
    batch = images(2, (48, 64), torch.float32)
    regions = Regions("text", torch.tensor([[10.0, 5, 42, 21], [0, 0, 32, 16]]), torch.tensor([1, 0]), (48, 64))
    crops = ResizeExtractor((16, 32))(batch, regions)
    assert torch.equal(crops[0], batch[1, :, 5:21, 10:42])
    assert torch.equal(crops[1], batch[0, :, :16, :32])


def test_a_large_box_is_not_aliased() -> None:
    """Stripes one pixel wide average to grey; a plain bilinear sample of every fourth pixel would see one colour."""
    stripes = torch.ones(1, 3, 64, 64)
    stripes[..., ::2] = -1
    crops = ResizeExtractor((16, 16))(
        stripes, Regions("text", torch.tensor([[0.0, 0, 64, 64]]), torch.tensor([0]), (64, 64))
    )
    assert crops[..., 1:-1].abs().max() < 0.05


def test_beyond_the_border_the_border_is_repeated() -> None:
    batch = images(1, (16, 16), torch.float64)
    regions = Regions("text", torch.tensor([[-4.0, -2, 12, 14]]), torch.tensor([0]), (16, 16))
    crop = ResizeExtractor((16, 16))(batch, regions)[0]
    expected = F.pad(batch, (4, 0, 2, 0), mode="replicate")[0, :, :16, :16]
    torch.testing.assert_close(crop, expected)


def test_fractional_box_equals_a_plain_loop() -> None:
    """Reference: the triangle filter written out pixel by pixel."""
    batch, size = images(1, (12, 10)), (4, 3)
    x1, y1, x2, y2 = box = [1.25, 2.5, 8.75, 11.1]
    regions = Regions("text", torch.tensor([box], dtype=torch.float64), torch.tensor([0]), (12, 10))
    crop = ResizeExtractor(size)(batch, regions)[0]

    def taps(start: float, stop: float, count: int, i: int) -> dict[int, float]:
        step = (stop - start) / count
        centre = start + (i + 0.5) * step
        raw = {p: max(0.0, 1 - abs(p + 0.5 - centre) / max(step, 1)) for p in range(int(start), int(np.ceil(stop)))}
        return {p: w / sum(raw.values()) for p, w in raw.items()}

    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = taps(y1, y2, size[0], i), taps(x1, x2, size[1], j)
            value = sum(wr * wc * batch[0, :, r, c] for r, wr in rows.items() for c, wc in columns.items())
            torch.testing.assert_close(crop[:, i, j], value, atol=1e-12, rtol=0)


def test_gradcheck() -> None:
    batch = images(2, (9, 8)).requires_grad_()
    boxes = torch.tensor([[1.0, 2, 7, 6], [0.3, 0.2, 8.5, 9.4], [2, 2, 4, 4]], dtype=torch.float64)
    regions = Regions("text", boxes, torch.tensor([1, 0, 1]), (9, 8))
    assert torch.autograd.gradcheck(lambda x: ResizeExtractor((3, 4))(x, regions), batch)
    assert torch.autograd.gradcheck(lambda x: LetterboxExtractor((3, 4))(x, regions), batch)


def test_letterbox_keeps_the_aspect() -> None:
    """Reference: torchvision's resize of the crop, pasted by hand."""
    batch = images(1, (48, 64), torch.float32)
    regions = Regions("text", torch.tensor([[8.0, 10, 24, 42], [4, 4, 60, 12]]), torch.tensor([0, 0]), (48, 64))
    tall, flat = LetterboxExtractor((32, 32), fill=-0.5)(batch, regions)
    torch.testing.assert_close(tall[:, :, 8:24], batch[0, :, 10:42, 8:24])
    assert torch.all(tall[:, :, :8] == -0.5)
    assert torch.all(tall[:, :, 24:] == -0.5)
    small = TF.resize(batch[0, :, 4:12, 4:60], [4, 28], antialias=True)
    ours = LetterboxExtractor((8, 28), anchor="top-left")(batch, regions)[1]
    torch.testing.assert_close(ours[:, :4], small, atol=2e-6, rtol=0)
    assert torch.all(ours[:, 4:] == -1)
    assert torch.all(flat[:, 0] == -0.5)


def test_letterbox_of_a_thin_box_is_not_empty() -> None:
    batch = torch.full((1, 3, 80, 320), 0.7, requires_grad=True)
    boxes = torch.tensor([[0.0, 50, 300, 51], [0, 10.2, 280, 11.1], [50, 0, 51, 70]])
    crops = LetterboxExtractor((32, 128))(batch, Regions("text", boxes, torch.zeros(3).long(), (80, 320)))
    assert (crops.amax((1, 2, 3)) > -0.7).all()
    crops.sum().backward()
    assert batch.grad.abs().sum() > 0


def test_half_precision_images_are_sampled_in_float32() -> None:
    batch = images(2, (48, 64), torch.float32).bfloat16()
    crops = ResizeExtractor((16, 32))(batch, whole_boxes())
    assert crops.dtype == torch.float32
    torch.testing.assert_close(crops, ResizeExtractor((16, 32))(batch.float(), whole_boxes()))


@pytest.mark.parametrize("size", [[32], [0, 4], "32x128", [1.5, 2]])
def test_a_wrong_size_is_a_sentence(size: object) -> None:
    with pytest.raises(ValueError, match=r"^resize\.size: expected \[height, width\] in pixels, got "):
        ResizeExtractor(size)  # type: ignore[arg-type]

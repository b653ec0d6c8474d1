"""Windows of images: gradients against a plain loop, and how much memory a batch of several kinds of regions takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from regionloss import RectifiedExtractor, Regions
from regionloss.extractors.windows import Windows
from regionloss.regions import quads as shapes
from tests.extractors.test_quadrilateral import NONE, SIZE, turned
from tests.helpers import images


@pytest.mark.parametrize("read", ["windows", "images", "both"])
def test_gradients_are_those_of_a_plain_loop(read: str) -> None:
    """Windows overlap; what is passed on is read, or not."""
    batch, corners = images(2, (20, 30)).requires_grad_(), [(1, 0, 3), (0, 5, 7), (1, 2, 4)]
    weights = torch.randn(3, 3, 6, 8, dtype=torch.float64)
    windows, passed = Windows.apply(batch, corners, 6, 8)
    value = (windows * weights).sum() * (read != "images") + (passed.square().sum() if read != "windows" else 0)
    expected = 2 * batch.detach() if read != "windows" else torch.zeros(2, 3, 20, 30, dtype=torch.float64)
    for n, (image, top, left) in enumerate(corners if read != "images" else ()):
        expected[image, :, top : top + 6, left : left + 8] += weights[n]
        assert torch.equal(windows[n], batch[image, :, top : top + 6, left : left + 8])
    (gradient,) = torch.autograd.grad(value, batch)
    torch.testing.assert_close(gradient, expected)


class Made(TorchDispatchMode):
    """Counts the numbers in what operations make: their tensors by size."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.kept: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor):
                self.kept.append(one)  # an address is not given twice while all live
                self.sizes[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes() // one.element_size()
        return result


def mixed(*quads: list, size: tuple[int, int] = SIZE) -> Regions:
    corners = torch.tensor(quads)
    boxes = torch.where(shapes.known(corners)[:, None], shapes.hulls(corners), torch.tensor([10.0, 20, 70, 41]))
    return Regions("text", boxes, torch.zeros(len(quads), dtype=torch.int64), size, 1, quads=corners)


def test_a_backward_pass_makes_one_gradient_of_the_images_size() -> None:
    """Boxes, and words that need one, two and four reads: autograd alone makes one for each kind, and their sums."""
    size = (640, 700)
    batch = images(1, size, torch.float32).requires_grad_()
    regions = mixed(
        NONE, turned(20, (90, 22)), turned(60, (180, 30)), turned(130, (300, 60), (200.0, 200.0)), size=size
    )
    crops = RectifiedExtractor()(batch, regions)
    with Made() as made:
        (gradient,) = torch.autograd.grad(crops.sum(), batch)
    assert [n for n in made.sizes.values() if n >= batch.numel()] == [batch.numel()]
    alone = [RectifiedExtractor()(batch, one).sum() for one in regions]
    expected = torch.autograd.grad(torch.stack(alone).sum(), batch)[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_small_words_do_not_pay_for_a_large_one() -> None:
    """Of 40 words and a heading across the image, not even the numbers of three images are copied."""
    size = (640, 700)
    batch = images(1, size, torch.float32)
    regions = mixed(turned(35, (600, 90), (350.0, 320.0)), *[turned(9 * n, (40, 10)) for n in range(40)], size=size)
    with Made() as made:
        RectifiedExtractor((8, 32))(batch, regions)
    assert max(made.sizes.values()) < 3 * batch.numel()

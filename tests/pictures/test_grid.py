"""The picture of a step, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from regionloss.pictures.grid import CELL, COLOURS, GAP, HEADING, sample_grid
from regionloss.regions import Regions

RED, GREEN = (tuple(bytes.fromhex(colour[1:])) for colour in COLOURS[:2])


def images(count: int = 3, size: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def boxes(kind: str, *rows: tuple[int, float, float, float, float], size: int = 64, count: int = 3) -> Regions:
    numbers = torch.tensor([row[1:] for row in rows], dtype=torch.float32).reshape(-1, 4)
    return Regions(kind, numbers, torch.tensor([row[0] for row in rows], dtype=torch.int64), (size, size), count)


def cell(page: np.ndarray, row: int, column: int, side: int = CELL) -> np.ndarray:
    top, left = HEADING + row * (side + GAP), GAP + column * (side + GAP)
    return page[top : top + side, left : left + side]


def has(pixels: np.ndarray, colour: tuple[int, ...]) -> bool:
    return bool((pixels == np.array(colour, dtype=np.uint8)).all(-1).any())


def test_columns_are_target_reconstruction_and_regions() -> None:
    target = images()
    page = np.asarray(sample_grid(target, target * 5, {}))
    assert page.shape == (HEADING + 3 * (CELL + GAP), 3 * (CELL + GAP) + GAP, 3)
    for row in range(3):
        for column, shown in enumerate((target, (target * 5).clamp(-1, 1), target)):
            wanted = ((shown[row].double().numpy() + 1) / 2 * 255).transpose(1, 2, 0)
            assert np.abs(cell(page, row, column)[1::4, 2::4].astype(float) - wanted).max() <= 0.51


def test_kinds_have_colours_and_masked_or_unshown_regions_none() -> None:
    grey = torch.zeros(3, 3, 64, 64)
    face = boxes("face", (0, 10, 20, 30, 44), (2, 5, 5, 9, 9))
    text = boxes("text", (1, 8, 8, 40, 16), (0, 50, 50, 60, 60))
    masked = Regions("text", text.boxes, text.image_index, (64, 64), 3, valid=torch.tensor([True, False]))
    page = np.asarray(sample_grid(grey, grey, {"text": masked, "face": face}, most=2))
    assert page.shape[0] == HEADING + 2 * (CELL + GAP)
    first, second = cell(page, 0, 2), cell(page, 1, 2)
    assert (has(first, RED), has(first, GREEN)) == (True, False)
    assert (has(second, RED), has(second, GREEN)) == (False, True)
    drawn = np.argwhere((first == np.array(RED, dtype=np.uint8)).all(-1))
    assert drawn.min(0).tolist() == [80, 40]  # y, x: the box times 4
    assert drawn.max(0).tolist() == [175, 119]


def test_the_largest_region_is_enlarged_target_over_reconstruction() -> None:
    target, reconstruction = torch.full((1, 3, 64, 64), -1.0), torch.full((1, 3, 64, 64), 1.0)
    found = boxes("text", (0, 30, 30, 34, 34), (0, 4, 4, 40, 14), count=1)
    target[:, :, 4:14, 4:40] = 0.0
    shown = cell(np.asarray(sample_grid(target, reconstruction, {"text": found})), 0, 3)
    middle = (CELL - GAP) // 2
    assert shown[middle - 50, CELL // 2].tolist() == [128] * 3
    assert shown[middle + GAP + 10, CELL // 2].tolist() == [255] * 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_type_and_what_is_not_finite_is_grey(dtype: torch.dtype) -> None:
    target = images(2).to(dtype)
    broken = target.clone()
    broken[0] = float("nan")
    page = np.asarray(sample_grid(target, broken.requires_grad_(), {"face": Regions.empty("face", (64, 64), 2)}))
    assert (cell(page, 0, 1) == 128).all()
    assert page.shape[1] == 3 * (CELL + GAP) + GAP  # a kind without regions takes no room


@pytest.mark.parametrize("size", [1, 16, 512])
def test_regions_at_the_borders_of_any_size(size: int) -> None:
    edge = size - 1.0
    found = boxes("text", (0, edge, edge, size, size), (1, 0.0, 0.0, size, size), size=size, count=2)
    points = torch.tensor([[[float("nan")] * 2, [edge, edge]], [[0.0, 0.0], [size / 2, size / 2]]])
    faces = Regions("face", found.boxes, found.image_index, (size, size), 2, keypoints=points)
    page = sample_grid(images(2, size), images(2, size, seed=1), {"text": found, "face": faces})
    assert page.width == 5 * (max(CELL, size) + GAP) + GAP


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_picture_from_a_gpu() -> None:
    target, found = images(), boxes("text", (0, 4, 4, 40, 14))
    here = sample_grid(target, target / 2, {"text": found})
    there = sample_grid(target.cuda(), target.cuda() / 2, {"text": found.to("cuda")})
    assert np.array_equal(np.asarray(here), np.asarray(there))


def test_a_quadrilateral_is_drawn_as_it_lies() -> None:
    """A diamond: its middle edges are coloured, the corners of the box around it are not; beside it a box."""
    quad = torch.tensor([[[32.0, 12], [52, 32], [32, 52], [12, 32]], [[torch.nan] * 2] * 4])
    regions = Regions("text", torch.tensor([[12.0, 12, 52, 52], [2, 2, 9, 9]]), torch.tensor([0, 0]), (64, 64), 1,
                      quads=quad)  # fmt: skip
    first = cell(np.asarray(sample_grid(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), {"text": regions})), 0, 2)
    marked = (first == np.array(RED, dtype=np.uint8)).all(-1)
    assert all(marked[y * 4 - 1 : y * 4 + 1, x * 4 - 1 : x * 4 + 1].any() for x, y in ((42, 22), (42, 42), (22, 42)))
    assert not marked[11 * 4 : 14 * 4, 11 * 4 : 14 * 4].any()
    assert marked[8, 8:36].all(), "the box"

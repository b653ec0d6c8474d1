"""Tokens of a transformer as a map: those of patches laid out as their image is, those in front of them left out."""

from __future__ import annotations

import math

from torch import Tensor

from regionloss.errors import InputError, expected


def as_map(
    tokens: Tensor, prefix: int, size: tuple[int, int], where: str, patch: tuple[int, int] | None = None
) -> Tensor:
    """Return tokens (R, N, C) as a map (R, C, h, w), row by row.

    Args:
        tokens: One token for each patch of the image, behind those that are of no place.
        prefix: Number of tokens that are of no place: the class, registers.
        size: Height and width of the image, pixels.
        where: What sentences call the network.
        patch: Height and width of a patch, pixels; None for squares.

    Raises:
        InputError: As many tokens are no grid of such patches.
    """
    count = tokens.shape[1] - prefix
    grid = grid_of(count, size) if patch is None else (size[0] // patch[0], size[1] // patch[1])
    if grid is None or grid[0] * grid[1] != count:
        kind = "square patches" if patch is None else f"patches of {patch[0]} x {patch[1]}"
        wanted = f"{prefix} tokens and a grid of {kind}, of crops of {size[0]} x {size[1]}"
        advice = "Set prefix_tokens to the number of those in front, and patch_size if patches are no squares."
        raise InputError(expected(where, wanted, f"{tokens.shape[1]} tokens", advice))
    found: Tensor = tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)
    return found


def grid_of(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the rows and columns of this many square patches of an image (height, width); None where none fit."""
    if count < 1:
        return None
    rows = round(math.sqrt(count * size[0] / size[1]))
    columns = count // max(rows, 1)
    # Patches at the edge may have been cut off, or filled up.
    slack = abs(rows / size[0] * size[1] - columns)
    return (rows, columns) if rows * columns == count and slack <= 1 else None


def guess(count: int, size: tuple[int, int]) -> str:
    """Return what to do about a level of three dimensions, for sentences."""
    most = 16  # registers and a class: DINOv2 and DINOv3 have 5
    fitting = (n for n in range(min(most, count)) if (grid := grid_of(count - n, size)) and whole(grid, size))
    number = next(fitting, None)
    if number is None:
        return "Return maps, or say how many tokens stand in front of those of patches: prefix_tokens=1, say."
    rows, columns = grid_of(count - number, size) or (0, 0)
    return f"If these are tokens ({number} + {rows} x {columns}), say prefix_tokens={number}; else return maps."


def whole(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a grid's patches are squares of whole pixels."""
    return size[0] % grid[0] == size[1] % grid[1] == 0 and size[0] // grid[0] == size[1] // grid[1] > 1

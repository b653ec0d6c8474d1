"""Reading the tensors of a network that dlib serialised, without dlib."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from regionloss.errors import WeightsError, expected

_VERSION_2 = re.compile(rb"\x01\x02")  # dlib writes an integer as its length in bytes, then those, lowest first


def read_tensors(file: Path, sizes: Sequence[int]) -> list[Tensor]:
    """Return the float tensors of a dlib network file, flat, in the order of the file (the first layer first).

    A tensor is the integer 2 (its format's version), four dimensions and its values as little-endian float32. What
    lies between tensors (names and settings of layers) is skipped.

    Args:
        file: A `.dat` of dlib.
        sizes: How many numbers each tensor of the file holds, in the file's order.

    Raises:
        WeightsError: The file does not hold these tensors.
    """
    data, tensors, position = file.read_bytes(), [], 0
    for number, size in enumerate(sizes):
        start = _find(data, position, size)
        if start is None:
            wanted = f"tensor {number + 1} of {len(sizes)} with {size} values"
            raise WeightsError(expected(str(file), wanted, "none after the one before", "Is it the right file?"))
        tensors.append(torch.from_numpy(np.frombuffer(data, "<f4", size, start).astype(np.float32)))
        position = start + 4 * size
    return tensors


def _find(data: bytes, position: int, size: int) -> int | None:
    """Return where the values of the next tensor of `size` values begin."""
    for found in _VERSION_2.finditer(data, position):
        shape, start = _integers(data, found.end(), 4)
        if len(shape) == 4 and math.prod(shape) == size and start + 4 * size <= len(data):
            return start
    return None


def _integers(data: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Return up to `count` positive integers that dlib wrote at `position`, and where they end."""
    values: list[int] = []
    while len(values) < count and position < len(data) and 1 <= data[position] <= 8:
        length = data[position]
        values.append(int.from_bytes(data[position + 1 : position + 1 + length], "little"))
        position += 1 + length
    return values, position

"""Weights by name, or a file that the caller names."""

from __future__ import annotations

from pathlib import Path

from regionloss.errors import WeightsError
from regionloss.weights import locate


def file_of(weights: str) -> Path:
    """Return the file of these weights: registered ones by name, others by path (text with a dot; names have none).

    Raises:
        WeightsError: It is not here, or has another hash than the registered one.
    """
    if "." not in weights:
        return locate(weights)
    file = Path(weights).expanduser()
    if not file.is_file():
        raise WeightsError(f"weight file {file} not found. Check the path.")
    return file

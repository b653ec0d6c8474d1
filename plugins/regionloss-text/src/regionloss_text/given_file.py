"""The hash of weights that have a name, or lie in a file that the caller names."""

from __future__ import annotations

from pathlib import Path

from regionloss.weights import SUFFIXES, locate, sha256_of


def hash_of(weights: str) -> str:
    """Return the sha256 of the file that `load_state_dict` reads for this name or path.

    Raises:
        WeightsError: The file is not here, or has another hash than the registered one.
    """
    path = Path(weights).expanduser()
    return sha256_of(path if path.suffix in SUFFIXES or path.is_file() else locate(weights))

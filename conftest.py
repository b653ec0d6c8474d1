"""Shared by every test: one thread, no network, and real weights where they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Several test processes share few cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Path]:
    """Return a function that locates a weight file, or skips the test where it is not here.

    With REGIONLOSS_REQUIRE_WEIGHTS=1, as `make test` sets it, a missing file is a failure.
    """
    from regionloss.errors import WeightsError
    from regionloss.weights import locate

    def find(name: str) -> Path:
        try:
            return locate(name)
        except WeightsError as error:
            if os.environ.get("REGIONLOSS_REQUIRE_WEIGHTS") == "1":
                raise
            pytest.skip(str(error))

    return find

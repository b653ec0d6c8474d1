"""`chunk_size` bounds what is kept for the backward pass: what autograd saves, and what the network is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from regionloss import RegionPerceptualLoss, Regions
from tests.helpers import CASES, loss_of, pair

BOTH = pytest.mark.parametrize("kind", list(CASES))


def kept_by(run: Callable[[], torch.Tensor]) -> tuple[int, torch.Tensor]:
    """Return the bytes that autograd keeps of a computation, and its result."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    return sum(kept.values()), result


def measured(loss: RegionPerceptualLoss, regions: Regions) -> tuple[int, list[int]]:
    """Return the bytes that are kept beside those of sampling, and how many crops each call of the network saw."""
    reconstruction, target = pair()
    sizes: list[int] = []
    hook = loss.backbone.network.register_forward_hook(lambda m, args, out: sizes.append(len(args[0])))
    sampling, _ = kept_by(lambda: loss.extractor(reconstruction, regions.to("cpu", dtype=torch.float64)))
    whole, value = kept_by(lambda: loss(reconstruction, target, regions))
    value.backward()
    hook.remove()
    return whole - sampling, sizes


@BOTH
def test_no_more_regions_are_kept_than_it_says(kind: str) -> None:
    regions = CASES[kind][1]
    regions = regions.select(torch.arange(len(regions)).repeat(6))
    whole, sizes = measured(loss_of(kind), regions)
    assert set(sizes) == {len(regions)}
    chunked, sizes = measured(loss_of(kind, chunk_size=4), regions)
    assert max(sizes) == 4
    assert chunked < 0.3 * whole  # the crops themselves remain

"""Features of a pair of crops, against the network itself: on any device."""

from __future__ import annotations

import copy

import pytest
import torch

from regionloss import FeatureBackbone
from tests.helpers import backbone, images


def by_hand(made: FeatureBackbone, crops: torch.Tensor) -> list[torch.Tensor]:
    """The network's own levels of crops that were normalised by hand (the numbers of tests/helpers.py)."""
    mean, std = (torch.tensor(v).double().view(1, 3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    return copy.deepcopy(made.network).double()(((crops + 1) / 2 - mean) / std)


def test_each_half_is_its_own_crops() -> None:
    made, crops, targets = backbone(), images(3, (12, 20)), images(3, (12, 20), seed=1)
    found = made(crops, targets)
    for levels, own in zip(found, (crops, targets), strict=True):
        for level, expected in zip(levels, by_hand(made, own), strict=True):
            torch.testing.assert_close(level, expected)


def test_gradients_reach_the_reconstruction_and_not_the_target() -> None:
    made = backbone()
    crops, targets = images(3, (12, 20)).requires_grad_(), images(3, (12, 20), seed=1).requires_grad_()
    features, target_features = made(crops, targets)
    assert not any(level.requires_grad for level in target_features)
    ours = torch.autograd.grad(sum(level.square().sum() for level in features), crops)[0]
    theirs = torch.autograd.grad(sum(level.square().sum() for level in by_hand(made, crops)), crops)[0]
    torch.testing.assert_close(ours, theirs)
    assert targets.grad is None


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_target_is_described_without_a_backward_pass(device: str) -> None:
    """The meta device stands for an accelerator: it is none, and not the CPU either."""
    made, recorded = backbone(), []
    made.network.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    crops = images(3, (12, 20), torch.float32).to(device).requires_grad_()
    made(crops, crops)
    assert sorted(recorded) == [False, True]

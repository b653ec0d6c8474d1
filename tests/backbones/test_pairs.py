"""Both ways of seeing a pair, two calls of the network and one, against the network itself: on any device."""

from __future__ import annotations

import copy

import pytest
import torch

from regionloss import FeatureBackbone
from tests.helpers import backbone, images

WAYS = pytest.mark.parametrize("way", ["apart", "together"])


def by_hand(made: FeatureBackbone, crops: torch.Tensor) -> list[torch.Tensor]:
    """The network's own levels of crops that were normalised by hand (the numbers of tests/helpers.py)."""
    mean, std = (torch.tensor(v).double().view(1, 3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    return copy.deepcopy(made.network).double()(((crops + 1) / 2 - mean) / std)


@WAYS
def test_each_half_is_its_own_crops(way: str) -> None:
    made, crops, targets = backbone(), images(3, (12, 20)), images(3, (12, 20), seed=1)
    found = getattr(made, way)(crops, targets)
    for levels, own in zip(found, (crops, targets), strict=True):
        for level, expected in zip(levels, by_hand(made, own), strict=True):
            torch.testing.assert_close(level, expected)


@WAYS
def test_gradients_reach_the_reconstruction_and_not_the_target(way: str) -> None:
    made = backbone()
    crops, targets = images(3, (12, 20)).requires_grad_(), images(3, (12, 20), seed=1).requires_grad_()
    features, target_features = getattr(made, way)(crops, targets)
    assert not any(level.requires_grad for level in target_features)
    ours = torch.autograd.grad(sum(level.square().sum() for level in features), crops)[0]
    theirs = torch.autograd.grad(sum(level.square().sum() for level in by_hand(made, crops)), crops)[0]
    torch.testing.assert_close(ours, theirs)
    assert targets.grad is None


@pytest.mark.parametrize(("device", "way"), [("cpu", "apart"), ("meta", "together")])
def test_the_device_chooses_the_way(device: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands for an accelerator: it is none, and not the CPU either."""
    called = []
    for name in ("apart", "together"):
        method = getattr(FeatureBackbone, name)
        monkeypatch.setattr(
            FeatureBackbone, name, lambda self, *pair, m=method, n=name: called.append(n) or m(self, *pair)
        )
    crops = images(3, (12, 20), torch.float32).to(device)
    backbone()(crops, crops)
    assert called == [way]

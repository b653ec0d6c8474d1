"""The parts of a step that are measured side by side compute the same."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.step_changes import EARLIER, as_at_first
from insighttok_ref.tokenizers.insighttok import blocks
from regionloss.backbones import FeatureBackbone, InputSpec


def test_what_was_otherwise_at_first_gives_the_same_numbers() -> None:
    torch.manual_seed(0)
    block, norm = blocks.AttentionBlock(32), nn.GroupNorm(4, 32)
    backbone = FeatureBackbone(nn.Conv2d(3, 4, 3), InputSpec())
    x, crops, targets = torch.randn(2, 32, 5, 4), torch.rand(2, 3, 8, 8).requires_grad_(), torch.rand(2, 3, 8, 8)
    calls = {
        "norm and SiLU": lambda: blocks.norm_silu(x, norm),
        "attention": lambda: block(x),
        "targets": lambda: torch.stack([level for levels in backbone(crops, targets) for level in levels]),
    }
    assert calls.keys() == EARLIER.keys()
    for name, call in calls.items():
        now = call()
        target, attribute, other = EARLIER[name][0]
        with as_at_first(name):
            assert getattr(target, attribute) is other
            torch.testing.assert_close(call(), now)
        assert getattr(target, attribute) is not other

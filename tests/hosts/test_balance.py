"""At which weight a wrapped loss's terms would pull as its host does, against gradients by hand."""

from __future__ import annotations

import warnings

import pytest
import torch

import regionloss as rl
from tests.helpers import text_loss, text_regions
from tests.hosts.test_wrap import SPEC, Plain, pair


def test_it_says_once_at_which_weight_terms_would_pull_as_the_host_does(caplog: pytest.LogCaptureFixture) -> None:
    x, y = pair()
    grown = x.clone().requires_grad_()
    (wanted,), (found,) = (
        torch.autograd.grad(loss, grown)
        for loss in ((y - grown).abs().mean(), text_loss()(grown, y, text_regions().to("cpu")))
    )
    equal = float(wanted.norm() / found.norm())
    for weight, warned in ((equal, False), (1000 * equal, True)):
        wrapped = rl.wrap(Plain(), SPEC, rl.LossTerms({"word": rl.Term(text_loss(), "text", weight)}))
        with (
            caplog.at_level("INFO", "regionloss"),
            rl.use_regions(text_regions()),
            warnings.catch_warnings(record=True) as w,
        ):
            warnings.simplefilter("always")
            for _ in range(2):
                wrapped(y, grown).backward()
        said = f"Plain: term 'word' has weight {weight:g}; equal gradients at {equal:.3g}"
        assert [record.getMessage() for record in caplog.records] == [said]
        assert [str(one.message) for one in w] == [
            f"{said}, so little else is trained. Start near {equal:.2g}."
        ] * warned
        caplog.clear()

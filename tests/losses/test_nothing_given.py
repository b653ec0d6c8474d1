"""A loss that was given no regions says what serves at its first call; a batch without any is no mistake."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

import regionloss as rl
from tests.helpers import face_loss, images, text_loss, text_regions

SENTENCE = r"^regions: expected such as .*Regions\(\.\.\.\).*, got none, so this is 0\. .*Regions\.empty\(\.\.\.\)"


class Plain(torch.nn.Module):
    def forward(self, images: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
        return (images - decoded).abs().mean()


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return images(3).requires_grad_(), images(3, seed=1)


def both(**options: Any) -> rl.LossTerms:
    return rl.LossTerms(
        {"text": rl.Term(text_loss(), "text", **options), "face": rl.Term(face_loss(), "face", **options)}
    )


def wrapped(terms: rl.LossTerms) -> Callable[..., Any]:
    """Return a wrapped loss that is called as terms are."""
    host = rl.wrap(Plain(), rl.HostSpec("images", "decoded"), terms)

    def call(reconstruction: torch.Tensor, target: torch.Tensor, regions: Any) -> Any:
        with rl.use_regions(regions):
            return host(target, reconstruction)

    return call


#: `use_regions(None)` is missing: it says that the host's own loss is wanted.
NOTHING = {
    "terms, None": (both, None),
    "terms, {}": (both, {}),
    "a loss, None": (text_loss, None),
    "a wrapped loss, {}": (lambda: wrapped(both()), {}),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_given_says_what_serves_at_the_first_call(case: str) -> None:
    make, nothing = NOTHING[case]
    loss = make()
    with pytest.warns(UserWarning, match=SENTENCE) as told:
        loss(*pair(), nothing)
    assert len(told) == 1
    loss(*pair(), nothing)  # told once: a second warning would be an error


def test_the_warning_points_to_the_caller() -> None:
    for loss in (both(), text_loss()):
        with pytest.warns(UserWarning, match=SENTENCE) as told:
            loss(*pair(), None)
        assert told[0].filename == __file__


@pytest.mark.parametrize(
    "regions",
    [
        {"text": rl.Regions.empty("text", (40, 48), 3)},
        rl.Regions.empty("face", (40, 48), 3, keypoints=5),
        {"text": text_regions()},
    ],
    ids=["mapping", "alone", "found"],
)
def test_a_batch_without_regions_is_no_mistake(regions: Mapping[str, rl.Regions] | rl.Regions) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in (both(), wrapped(both())):
            loss(*pair(), regions)
            loss(*pair(), {})  # after the first call a batch that nobody looked at is none either
        text_loss()(*pair(), rl.Regions.empty("text", (40, 48), 3))


def test_who_needs_no_regions_is_told_nothing() -> None:
    """Terms of whole images, no terms, terms that start later, and a validation without gradients."""
    whole = rl.LossTerms({"all": rl.Term(text_loss(), "whole_image")})
    late = both(start_step=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for terms in (whole, rl.LossTerms({})):
            terms(*pair(), None)
        late(*pair(), None, step=3)
        trained = both()
        with torch.no_grad():
            trained(*pair(), {})
            text_loss()(*pair(), None)
    for terms in (late, trained):
        with pytest.warns(UserWarning, match=SENTENCE):
            terms(*pair(), None, step=10)

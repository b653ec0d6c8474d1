"""Reconstruction and target exchanged: the value is right and nothing is trained, so it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import backbone, images, text_loss, text_regions

SENTENCE = r"expected a reconstruction that requires a gradient, got one that does not, .*Exchange the two"


class Plain(nn.Module):
    def forward(self, images: Tensor, decoded: Any) -> Tensor:
        return (images - (decoded[0] if isinstance(decoded, list) else decoded)).abs().mean()


def pair() -> tuple[Tensor, Tensor]:
    return images(3).requires_grad_(), images(3, seed=1)


def terms() -> rl.LossTerms:
    return rl.LossTerms({"text": rl.Term(text_loss(), "text")})


@pytest.mark.parametrize("regions", [text_regions(), rl.Regions.empty("text", (40, 48))], ids=["some", "none"])
@pytest.mark.parametrize("loss", [text_loss(), terms()], ids=["loss", "terms"])
def test_exchanged_images_are_refused_in_every_call(loss: nn.Module, regions: rl.Regions) -> None:
    reconstruction, target = pair()
    loss(reconstruction, target, regions)
    with pytest.raises(rl.RegionLossError, match=f"^reconstruction, target: {SENTENCE}"):
        loss(target, reconstruction, regions)


def test_what_came_from_a_network_counts_as_the_leaf_does() -> None:
    """Not leaves alone: a decoder's output, and images that were detached on their way."""
    image = images(3, dtype=torch.float32)
    decoded = nn.Conv2d(3, 3, 1)(image)
    terms()(decoded, image, text_regions()).total.backward()
    for target in (image, decoded.detach()):
        with pytest.raises(rl.RegionLossError, match=SENTENCE):
            terms()(target, decoded, text_regions())


def test_exchanged_crops_and_images_of_a_perceptual_loss_are_refused() -> None:
    crops, others = pair()
    with pytest.raises(rl.RegionLossError, match=f"^crops, target_crops: {SENTENCE}"):
        backbone()(others, crops)


@pytest.mark.parametrize("several", [False, True])
def test_a_specification_with_exchanged_images_is_refused(several: bool) -> None:
    reconstruction, target = pair()
    decoded: Any = [reconstruction] if several else reconstruction
    right = rl.wrap(Plain(), rl.HostSpec("images", "decoded"), terms())
    wrong = rl.wrap(Plain(), rl.HostSpec("decoded", "images"), terms())
    with rl.use_regions(text_regions()):
        right(target, decoded).backward()
        if not several:
            with pytest.raises(
                rl.RegionLossError, match=f"^Plain: reconstruction 'images', target 'decoded': {SENTENCE}"
            ):
                wrong(target, decoded)
        with pytest.raises(rl.RegionLossError, match=f"^Plain: reconstruction 'decoded', target 'images': {SENTENCE}"):
            right(reconstruction, [target] if several else target)


def test_what_trains_nothing_or_both_is_no_mistake() -> None:
    """Without gradients either order has the same value; a target may take a gradient beside the reconstruction."""
    reconstruction, target = pair()
    value = terms()(reconstruction, target, text_regions()).total.detach()
    with torch.no_grad():
        assert terms()(target, reconstruction, text_regions()).total == value
    assert terms()(target, reconstruction.detach(), text_regions()).total == value
    both = target.clone().requires_grad_()
    terms()(reconstruction, both, text_regions()).total.backward()
    assert reconstruction.grad is not None
    assert both.grad is None

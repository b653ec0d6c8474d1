"""Examples that `RegionCollate` refuses, each with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import regionloss as rl


def example(regions: Any) -> dict[str, Any]:
    return {"image": torch.zeros(3, 40, 48), "regions": regions}


def test_examples_that_hold_other_regions_are_a_sentence() -> None:
    one = rl.Regions("text", torch.tensor([[4.0, 8, 20, 24]]), torch.tensor([0]), (40, 48), 1)
    second = rl.Regions("text", torch.tensor([[4.0, 8, 20, 24]]), torch.tensor([1]), (40, 48), 2)
    unnumbered = rl.Regions("text", torch.tensor([[4.0, 8, 20, 24]]), torch.tensor([1]), (40, 48))
    collate = rl.RegionCollate()
    assert collate([example({"text": one})] * 2)["regions"]["text"].image_index.tolist() == [0, 1]
    for wrong, part in (
        ({"face": one}, r"example\['face'\].kind: expected 'face', got 'text'"),
        (second, r"regions of one image, image_index 0, got 2 images, image_index up to 1"),
        ({"text": unnumbered}, "regions of one image"),
        ({"text": torch.zeros(1, 4)}, r"example\['text'\]: expected Regions, got Tensor"),
        ([one], "a mapping of kind to them, got list"),
    ):
        with pytest.raises(rl.RegionLossError, match=part):
            collate([example(wrong), example(one)])


def test_a_collate_that_changes_the_form_is_a_sentence() -> None:
    one = rl.Regions.empty("text", (40, 48), 1)
    with pytest.raises(rl.RegionLossError, match="a batch that is a mapping, as the examples are, got Tensor"):
        rl.RegionCollate(lambda rest: torch.stack([part["image"] for part in rest]))([example(one)])
    with pytest.raises(rl.RegionLossError, match="a batch that is a tuple, as the examples are, got dict"):
        rl.RegionCollate(lambda rest: {"images": rest}, key=1)([(torch.zeros(1), one)])

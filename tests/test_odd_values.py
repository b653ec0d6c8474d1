"""What a caller hands over by mistake, of another type, layout or size than is asked for: a sentence, at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import regionloss as rl
from regionloss.checks import check_range
from regionloss.errors import RegionLossError

BOXES, INDEX = torch.tensor([[2.0, 3, 14, 9]]), torch.tensor([0])


def regions(**other: object) -> rl.Regions:
    values = {"kind": "text", "boxes": BOXES, "image_index": INDEX, "image_size": (24, 32), "num_images": 1}
    return rl.Regions(**{**values, **other})


class OneLevel(torch.nn.Conv2d):
    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [super().forward(images)]


def linear_loss(**options: object) -> rl.RegionPerceptualLoss:
    backbone = rl.FeatureBackbone(OneLevel(3, 4, 3), rl.InputSpec())
    return rl.RegionPerceptualLoss(rl.ResizeExtractor(size=(8, 12)), backbone, **options)


def images() -> torch.Tensor:
    return torch.zeros(1, 3, 24, 32)


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "a filter's count that no tensor holds": (lambda: rl.RegionFilter(per_image=10**24), "filter: per_image: expected"),
    "a filter's side that no tensor holds": (lambda: rl.RegionFilter(min_side=10**24), "filter: min_side: expected"),
    "a template that no tensor holds": (lambda: rl.AlignedExtractor(template=10**400), "aligned.template: expected K"),
    "a reduction of numbers": (
        lambda: linear_loss(reduction=np.zeros((2, 4))),
        "reduction: expected 'image_mean'",
    ),
    "a padding of numbers": (
        lambda: rl.AlignedExtractor([[0, 0], [1, 1]], padding=np.zeros(3)),
        "aligned.padding: expected 'border' or 'black'",
    ),
    "a loss that overflows": (
        lambda: linear_loss()(torch.full((1, 3, 24, 32), 8e29), images(), regions()),
        "loss: expected a finite value, got inf",
    ),
    "a filter's share as text": (lambda: rl.RegionFilter(min_visible="0.5"), "filter: min_visible: expected a share"),
    "a filter's side that is none": (lambda: rl.RegionFilter(min_side=float("nan")), "filter: min_side: expected pix"),
    "half a region": (
        lambda: rl.RegionFilter(per_image=1.5),
        "filter: per_image: expected 0 or more, or none, got 1.5",
    ),
    "one count": (lambda: rl.RegionFilter(pad_to=8), "filter: pad_to: expected counts such as"),
    "counts in counts": (lambda: rl.RegionFilter(pad_to=([],)), "filter: pad_to: expected counts of 0 or more"),
    "one number a channel": (lambda: rl.InputSpec(mean=0.5), "InputSpec.mean: expected a tuple of numbers, got 0.5"),
    "a deviation of zero": (
        lambda: rl.InputSpec(std=(0.0,)),
        "InputSpec.std: expected finite numbers above 0, got 0.0",
    ),
    "a range of one": (lambda: rl.InputSpec(value_range=1), "InputSpec.value_range: expected"),
    "terms in a list": (lambda: rl.LossTerms([1]), "terms: expected a mapping of names to a Term each, got list"),
    "one image's regions": (lambda: rl.collate_regions({"text": regions()}), "collate: expected a list"),
    "one filter": (lambda: rl.collate_regions([{}], rl.RegionFilter()), "filters: expected a RegionFilter by kind"),
    "a filter's numbers": (lambda: rl.collate_regions([{}], {"text": 3}), "filters['text']: expected a RegionFilter"),
    "a flag of no image": (lambda: regions(annotated=torch.tensor(True)), "annotated: expected"),
    "texts in a number": (lambda: regions(texts=3), "texts: expected a tuple of strings, got int"),
    "half an image": (lambda: regions(num_images=1.5), "num_images: expected a whole number or None, got 1.5"),
    "sparse boxes": (lambda: regions(boxes=BOXES.to_sparse()), "boxes: expected a dense tensor on cpu"),
    "an index elsewhere": (
        lambda: regions(image_index=INDEX.to("meta")),
        "image_index: expected a dense tensor on cpu",
    ),
    "sparse images": (lambda: rl.detect(images().to_sparse(), "whole_image"), "images: expected a dense tensor"),
    "options in a list": (lambda: rl.detect(images(), "whole_image", [1]), "options: expected the detector's options"),
    "an image's number": (lambda: rl.read_image(5), "path: expected the path of an image file, got int"),
    "a number for terms": (lambda: rl.load_terms(5), "terms: expected a path, names of terms, or weights by name"),
    "an override's number": (lambda: rl.load_terms("quickstart", overrides=5), "overrides: expected texts such as"),
}


@pytest.mark.parametrize(("call", "sentence"), CASES.values(), ids=CASES)
def test_a_mistake_is_a_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(RegionLossError) as told:
        call()
    assert sentence in str(told.value)


def test_a_number_of_images_costs_nothing() -> None:
    """A list of as many numbers would need 8 TB."""
    assert len(regions(num_images=10**12)) == 1


def test_images_without_values_are_not_read() -> None:
    check_range(images().to("meta"), (-1.0, 1.0), "images")

"""`regionloss.detect`: names, ranges, and what is said of those that are none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regionloss as rl


class Bright:
    """Keeps what it is shown."""

    kind, version = "text", "1"

    def detect(self, images: Tensor) -> rl.Regions:
        self.seen = images
        return rl.Regions.empty("text", (images.shape[2], images.shape[3]), len(images))


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1), (0, 255)])
def test_detectors_see_images_of_any_range_in_theirs(value_range: tuple[float, float]) -> None:
    low, high = value_range
    shown, detector = torch.rand(2, 3, 8, 8) * 2 - 1, Bright()
    rl.detect((shown + 1) / 2 * (high - low) + low, detector, value_range=value_range)
    torch.testing.assert_close(detector.seen, shown, atol=1e-5, rtol=0)


def test_what_is_advised_of_a_range_can_be_done() -> None:
    with pytest.warns(
        UserWarning, match=r"If the images are in \[0, 1\]: Multiply by 2 and subtract 1, or say value_"
    ) as told:
        rl.detect(torch.rand(2, 3, 8, 8), Bright())
    assert str(told[0].message).endswith("or say value_range=(0, 1).")
    with pytest.raises(rl.RegionLossError, match=r"Rescale the images, or say value_range\.$"):
        rl.detect(torch.rand(2, 3, 8, 8) * 8 - 4, Bright())
    with pytest.raises(rl.RegionLossError, match=r"value_range: expected \(low, high\)"):
        rl.detect(torch.rand(2, 3, 8, 8), Bright(), value_range=(1, 0))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hand", "no detector and no term is named 'hand'. Did you mean 'hands'? Known: "),
        ("mtcn", "no detector and no term is named 'mtcn'. Did you mean 'mtcnn'? Known: "),
        ("face/mtccn", "no detector is named 'face/mtccn'. Did you mean 'face/mtcnn'? Known: "),
        ("core/region-lpips", "detector: expected a term with a detector, got 'core/region-lpips', whose regions are"),
    ],
)
def test_a_name_that_is_none_leads_to_one(name: str, meant: str) -> None:
    for look in (lambda: rl.detect(torch.zeros(1, 3, 8, 8), name), lambda: rl.RegionFinder(name)):
        with pytest.raises(rl.RegionLossError) as caught:
            look()
        assert meant in str(caught.value).replace("RegionFinder: detectors", "detector")


@pytest.mark.weights
def test_a_term_stands_for_the_detector_that_annotates_for_it() -> None:
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    for term, detector in (("face", "face/mtcnn"), ("text", "text/ppocr")):
        found, wanted = rl.detect(images, term), rl.detect(images, detector)
        assert (found.kind, found.boxes.tolist()) == (wanted.kind, wanted.boxes.tolist())
        assert (
            type(next(iter(rl.RegionFinder(term).detectors.values()))).__name__
            == type(next(iter(rl.RegionFinder(detector).detectors.values()))).__name__
        )

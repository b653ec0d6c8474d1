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
        ("face", "Did you mean 'face/mtcnn' or 'face/retinaface'? Known: "),
        ("hand", "Did you mean 'hands/mediapipe'? Known: "),
        ("mtcn", "Did you mean 'mtcnn'? Known: "),
        ("face/mtccn", "Did you mean 'face/mtcnn'? Known: "),
    ],
)
def test_the_name_of_a_plugin_leads_to_its_detectors(name: str, meant: str) -> None:
    with pytest.raises(rl.RegionLossError) as caught:
        rl.detect(torch.zeros(1, 3, 8, 8), name)
    assert str(caught.value).startswith(f"no detector is named '{name}'. {meant}")

"""The detector against the joints of hands that were drawn."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError, WeightsError
from regionloss.regions.geometry import hflip
from regionloss.testing.contracts import DetectorContract

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def detector(weights):
    for name in ("hand-palm", "hand-landmark-full", "hand-landmark-lite"):
        weights(name)
    from regionloss_hands.detector import HandDetector

    return HandDetector(zoom=1)


class TestContract(DetectorContract):
    @pytest.fixture(autouse=True)
    def given(self, detector, pair) -> None:
        self.detector, self.pair = detector, pair

    def make(self):
        return self.detector

    def images(self):
        return self.pair


@pytest.mark.parametrize(
    "settings",
    [{}, {"angle": 0.5}, {"angle": -1.2}, {"angle": 3.0}, {"scale": 0.6}, {"scale": 0.3, "at": (80.0, 170.0)}],
)
def test_keypoints_lie_on_the_joints(detector, drawn, settings) -> None:
    """Within 3 % of the hand's height on average, and each within 10 %."""
    image, joints = drawn(**settings)
    found = detector.detect(image)
    assert (len(found), found.kind, found.keypoints.shape) == (1, "hand", (1, 21, 2))
    away = (found.keypoints[0] - joints).norm(dim=1) / (138 * settings.get("scale", 1.0))
    assert float(away.mean()) < 0.03
    assert float(away.max()) < 0.1
    assert float(found.scores) > 0.9
    inside = (joints >= found.boxes[:, :2]) & (joints <= found.boxes[:, 2:])
    assert bool(inside.all())


def test_mirror_images(weights, pair) -> None:
    """With all defaults: boxes and keypoints are mirrored with the image, within 2 % of it."""
    from regionloss_hands.detector import HandDetector

    detector = HandDetector()
    ours, theirs = detector.detect(pair), hflip(detector.detect(pair.flip(3)), ())
    assert ours.image_index.tolist() == theirs.image_index.tolist() == [0, 1]
    assert float((ours.keypoints - theirs.keypoints).norm(dim=2).max()) < 5
    assert float((ours.boxes - theirs.boxes).abs().max()) < 5


def test_batches_sizes_and_empty_batches(detector, pair) -> None:
    together = detector.detect(torch.cat([pair, torch.zeros(1, 3, 256, 256)]))
    assert together.image_index.tolist() == [0, 1]
    for image in range(2):
        alone = detector.detect(pair[image : image + 1])
        torch.testing.assert_close(together.of_image(image).keypoints, alone.keypoints, atol=1e-2, rtol=0)
    wide = torch.cat([torch.zeros(2, 3, 256, 300), pair], 3)
    shifted = detector.detect(wide)
    assert shifted.image_index.tolist() == [0, 1]
    assert float((shifted.keypoints - torch.tensor([300.0, 0]) - together.keypoints).norm(dim=2).mean()) < 4
    nobody = detector.detect(torch.zeros(0, 3, 64, 64))
    assert (len(nobody), nobody.num_images, nobody.keypoints.shape) == (0, 0, (0, 21, 2))
    for size in ((1, 1), (3, 200), (200, 3)):
        assert len(detector.detect(torch.zeros(1, 3, *size))) == 0


def test_two_hands_of_one_image(detector, drawn) -> None:
    left, right = drawn(scale=0.7), drawn(scale=0.7, angle=-0.3)
    found = detector.detect(torch.cat([left[0], right[0].flip(3)], 3))
    assert found.image_index.tolist() == [0, 0]
    middles = sorted(found.keypoints[:, 9, 0].tolist())
    assert middles == pytest.approx([float(left[1][9, 0]), 512 - float(right[1][9, 0])], abs=5)


def test_zoom_finds_small_hands(detector, drawn) -> None:
    """A hand of 21 pixels in 512: 8 of the 192 that the palm detector sees; 16 with zoom."""
    from regionloss_hands.detector import HandDetector

    image, joints = drawn(512, scale=0.15, at=(154.0, 358.0))
    assert len(HandDetector(zoom=1).detect(image)) == 0
    found = HandDetector(zoom=2).detect(image)
    assert len(found) == 1
    assert float((found.keypoints[0] - joints).norm(dim=1).mean()) < 1


def test_views_cover_the_image() -> None:
    from regionloss_hands.palms import views_of_image

    for height, width in ((256, 256), (100, 333), (1080, 1920), (7, 3)):
        for zoom in (1, 2, 5):
            seen = torch.zeros(height, width, dtype=torch.bool)
            smallest = min(side for _, _, side in views_of_image(height, width, zoom))
            for x, y, side in views_of_image(height, width, zoom):
                if side == smallest:
                    seen[max(y, 0) : y + side, max(x, 0) : x + side] = True
            assert bool(seen.all())


def test_lite_network_and_scores(detector, pair, drawn) -> None:
    from regionloss_hands.detector import HandDetector

    lite = HandDetector(weights="hand-landmark-lite").detect(pair)
    assert float((lite.keypoints - detector.detect(pair).keypoints).norm(dim=2).mean()) < 5
    assert len(HandDetector(min_score=1.0).detect(pair)) == 0


def test_errors_are_sentences(weights) -> None:
    from regionloss_hands.detector import HandDetector

    with pytest.raises(InputError, match=r"hands\.min_score: expected a number in \[0, 1\], got 95\."):
        HandDetector(min_score=95)
    with pytest.raises(InputError, match=r"hands\.zoom: expected a whole number from 1 to 8, got 0\."):
        HandDetector(zoom=0)
    with pytest.raises(WeightsError, match=r"expected MediaPipe's palm detector"):
        HandDetector(palm_weights=str(weights("hand-landmark-lite")))
    with pytest.raises(WeightsError, match=r"expected MediaPipe's keypoints of a hand"):
        HandDetector(weights=str(weights("hand-palm")))

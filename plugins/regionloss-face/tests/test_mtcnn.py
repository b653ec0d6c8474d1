"""MTCNN against facenet-pytorch's own output, and where its keypoints lie."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from regionloss.errors import InputError, WeightsError
from regionloss.regions import Regions
from regionloss.testing.contracts import DetectorContract

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def detector(weights):
    for name in ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"):
        weights(name)
    from regionloss_face.mtcnn import MTCNNDetector

    return MTCNNDetector()


class TestContract(DetectorContract):
    @pytest.fixture(autouse=True)
    def given(self, detector, pair) -> None:
        self.detector, self.pair = detector, pair

    def make(self):
        return self.detector

    def images(self):
        return self.pair


def test_equals_facenet_pytorch_within_a_pixel(detector, cut, golden) -> None:
    """facenet-pytorch cuts whole pixels and counts from the unrounded corner: it lies up to a pixel behind."""
    for entry in golden["mtcnn"]:
        found = detector.detect(cut(**entry))
        assert len(found) == len(entry["scores"]) == 1
        torch.testing.assert_close(found.scores, torch.tensor(entry["scores"]), atol=1e-5, rtol=0)
        behind = torch.tensor(entry["keypoints"]).view(-1, 5, 2) - found.keypoints
        assert float(behind.min()) > -0.1
        assert float(behind.max()) < 1
        corners = torch.tensor(entry["boxes"]) - torch.tensor([1.0, 1, 0, 0])
        assert float((corners - found.boxes).abs().max()) < 1.1


def test_keypoints_are_mirrored_with_the_image(detector, cut) -> None:
    """In continuous pixels x and its mirror image add up to the width; an error of convention would show as 1."""
    image = cut("astronaut", 0, 60, 320)
    sums = []
    for side in (100, 107, 114, 121, 128):
        small = F.interpolate(image, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        ours, mirrored = detector.detect(small), detector.detect(small.flip(3))
        swapped = mirrored.keypoints[:, [1, 0, 2, 4, 3], 0]
        sums.append(float((ours.keypoints[..., 0] + swapped - side).mean()))
    assert abs(sum(sums) / len(sums)) < 0.5


def test_a_face_at_the_border_keeps_its_keypoints(detector, cut) -> None:
    """What leaves the image is black; facenet-pytorch squeezes the rest and is 7 px off here."""
    whole = detector.detect(cut("astronaut", 0, 0, 512)).keypoints[0]
    found = detector.detect(cut("astronaut", 0, 190, 256))
    assert len(found) == 1
    assert float((found.keypoints[0] + torch.tensor([190.0, 0]) - whole).abs().mean()) < 1.0
    assert float(found.boxes.min()) == 0


def test_batches_and_empty_batches(detector, pair) -> None:
    together = detector.detect(torch.cat([pair, torch.zeros(1, 3, 200, 200)]))
    assert together.image_index.tolist() == [0, 1]
    for image in range(2):
        alone = detector.detect(pair[image : image + 1])
        torch.testing.assert_close(together.of_image(image).keypoints, alone.keypoints, atol=1e-3, rtol=0)
    nobody = detector.detect(torch.zeros(0, 3, 64, 64))
    assert isinstance(nobody, Regions)
    assert (len(nobody), nobody.num_images) == (0, 0)
    assert len(detector.detect(torch.zeros(2, 3, 8, 200))) == 0


def test_upscale_finds_a_small_face(detector, cut) -> None:
    """A face of 9 pixels is below what the network looks for; enlarged four times it is found, in the same place."""
    from regionloss_face.mtcnn import MTCNNDetector

    large = cut("astronaut", 0, 60, 320)
    small = F.interpolate(large, (32, 32), mode="bicubic", antialias=True).clamp(-1, 1)
    assert len(detector.detect(small)) == 0
    found = MTCNNDetector(upscale=4).detect(small)
    assert len(found) == 1
    assert found.image_size == (32, 32)
    wanted = detector.detect(large).keypoints * (32 / 320)
    assert float((found.keypoints - wanted).abs().max()) < 1.0


def test_errors_are_sentences() -> None:
    from regionloss_face.mtcnn import MTCNNDetector

    with pytest.raises(InputError, match=r"mtcnn\.min_score: expected a number in \[0, 1\], got 95\."):
        MTCNNDetector(min_score=95)
    with pytest.raises(InputError, match=r"mtcnn\.min_face: expected at least 12 pixels, got 5\. Use upscale\."):
        MTCNNDetector(min_face=5)
    with pytest.raises(InputError, match=r"mtcnn\.upscale: expected a factor above 0, got 0\."):
        MTCNNDetector(upscale=0)


def test_another_networks_weights_are_refused(weights) -> None:
    from regionloss_face.mtcnn import MTCNNDetector

    other = str(weights("mtcnn-rnet"))
    with pytest.raises(WeightsError, match=r"expected the 13 tensors of the network, got 4 missing \(conv4_1\.bias\)"):
        MTCNNDetector(proposal_weights=other)

"""dlib's ResNet against dlib's own embeddings."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError, WeightsError
from regionloss.testing.contracts import FeatureBackboneContract

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def backbone(weights):
    weights("dlib-face-resnet")
    from regionloss_face.dlib_resnet import DlibResNet

    return DlibResNet()


class TestContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, backbone) -> None:
        self.backbone = backbone

    def make(self):
        return self.backbone


def test_equals_dlib(backbone, cut, golden) -> None:
    for entry in golden["dlib"]:
        ours = backbone.embed(cut(**entry))[0]
        torch.testing.assert_close(ours, torch.tensor(entry["embedding"]), atol=1e-5, rtol=0)
        head = backbone(cut(**entry), cut(**entry), ("embedding",))[0][-1][0]
        torch.testing.assert_close(head, torch.tensor(entry["embedding"]), atol=1e-5, rtol=0)


def test_tells_two_people_apart(backbone, pair, faces) -> None:
    """dlib's rule: less than 0.6 apart is one person."""
    from regionloss_face.alignment import DLIB_TEMPLATE

    from regionloss.extractors.aligned import AlignedExtractor

    extractor = AlignedExtractor(DLIB_TEMPLATE, (150, 150), "black")
    first, second = backbone.embed(extractor(pair, faces))
    again = backbone.embed(extractor(0.8 * pair + 0.1, faces))[0]
    assert float((first - second).norm()) > 0.6
    assert float((first - again).norm()) < 0.3


def test_levels(backbone) -> None:
    levels = backbone(torch.zeros(1, 3, 150, 150))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (32, 72, 72), (32, 35, 35), (64, 17, 17), (128, 8, 8), (256, 4, 4),
    ]  # fmt: skip


def test_no_crops(backbone) -> None:
    assert [len(level) for level in backbone(torch.zeros(0, 3, 150, 150))] == [0] * 5


def test_errors_are_sentences(backbone, tmp_path, weights) -> None:
    from regionloss_face.dlib_resnet import DlibResNet

    with pytest.raises(InputError, match=r"crops: expected 150 x 150 pixels, got 112 x 112"):
        backbone(torch.zeros(1, 3, 112, 112))
    half = tmp_path / "half.dat"
    half.write_bytes(weights("dlib-face-resnet").read_bytes()[: 1 << 20])
    with pytest.raises(WeightsError, match=r"half\.dat: expected tensor \d+ of 59 with \d+ values, got none"):
        DlibResNet(weights=str(half))
    with pytest.raises(WeightsError, match=r"gone\.dat not found\. Check the path\."):
        DlibResNet(weights=str(tmp_path / "gone.dat"))

"""FaceRes against a general reading of its graph, and on real faces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from regionloss.errors import WeightsError
from regionloss.testing.contracts import JudgeContract

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def judge(weights):
    for name in ("faceres-json", "faceres-bin"):
        weights(name)
    from regionloss_face.judge import FaceResJudge

    return FaceResJudge()


class TestContract(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, judge) -> None:
        self.judge = judge

    def make(self):
        return self.judge


def test_equals_the_graph(judge, cut, golden) -> None:
    from regionloss_face.faceres import FACERES_INPUT

    for entry in golden["faceres"]:
        vector = judge.network.network(FACERES_INPUT(cut(**entry)))[0]
        torch.testing.assert_close(vector[:32], torch.tensor(entry["first"]), atol=1e-4, rtol=0)
        assert float(vector.norm()) == pytest.approx(entry["norm"], abs=1e-3)


def test_likeness_of_real_faces(judge, pair, faces) -> None:
    """One person under other light and with other keypoints is more like herself than like another."""
    vectors = [one.vector for one in judge.judge(pair, faces)]
    jitter = torch.randn(faces.keypoints.shape, generator=torch.Generator().manual_seed(0))
    moved = judge.judge(0.8 * pair + 0.1, replace(faces, keypoints=faces.keypoints + 2 * jitter, layout=None))
    other = float(vectors[0] @ vectors[1])
    assert other < 0.6
    for before, after in zip(vectors, moved, strict=True):
        assert float(before @ after.vector) > 0.9
    blurred = F.avg_pool2d(pair, 9, 1, 4)
    assert all(float(a @ b.vector) < 0.9 for a, b in zip(vectors, judge.judge(blurred, faces), strict=True))


class TestDlibContract(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, weights) -> None:
        weights("dlib-face-resnet")

    def make(self):
        from regionloss_face.judge import DlibJudge

        return DlibJudge()

    def test_one_person_is_closer_than_another(self, pair, faces) -> None:
        """dlib's limit of 0.6 between descriptors of length 1.4 is a cosine of about 0.9."""
        first, second = (one.vector for one in self.make().judge(pair, faces))
        again = self.make().judge(0.8 * pair + 0.1, faces)[0].vector
        assert float(first @ second) < 0.9 < float(first @ again)


def test_is_not_among_the_loss_networks(judge, weights) -> None:
    from regionloss.weights.cache import sha256_of

    assert judge.weights_sha256 != sha256_of(weights("dlib-face-resnet"))


def test_another_graph_is_refused(tmp_path, weights) -> None:
    from regionloss_face.judge import FaceResJudge

    other = tmp_path / "other.json"
    other.write_text(json.dumps({"weightsManifest": [{"paths": ["other.bin"], "weights": []}]}))
    with pytest.raises(WeightsError, match=r"other\.json: expected the graph of FaceRes, got another one"):
        FaceResJudge(layout_weights=str(other), weights=str(weights("faceres-bin")))

"""TokBench's judge of faces: InsightFace's alignment, its pack however it is packed, a small network in its place."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from regionloss_face.alignment import ARCFACE_POINTS, ARCFACE_TEMPLATE
from regionloss_face.antelope import AntelopeJudge, norm_crops
from skimage.transform import estimate_transform

from regionloss import AlignedExtractor, Regions
from regionloss.errors import InputError, WeightsError
from regionloss.hooks.catalogue import catalogue
from regionloss.testing.contracts import JudgeContract

NETWORK = Path(__file__).parent / "data" / "small.onnx"


def landmarks(seed: int, size: int) -> np.ndarray:
    """Five points of a face, turned, moved and disturbed at random, counted from the centre of the first pixel."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-3, 3), rng.uniform(0.2, 1.3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (np.array(ARCFACE_POINTS) - 56) @ turn.T + rng.uniform(0.2, 0.8, 2) * size
    return points + rng.normal(0, 3 * scale, points.shape)


@pytest.mark.parametrize("seed", range(12))
def test_alignment_is_insightface_s(seed: int, photographs) -> None:
    """OpenCV's warp with skimage's estimate, as `norm_crop` does; OpenCV rounds coordinates to 1/32 of a pixel."""
    cv2 = pytest.importorskip("cv2")
    photo = np.ascontiguousarray(photographs["astronaut"][:240, 100:340])
    points = landmarks(seed, 240)
    matrix = estimate_transform("similarity", points, np.array(ARCFACE_POINTS)).params[:2]
    theirs = cv2.warpAffine(photo, matrix, (112, 112), borderValue=0.0).astype(float)
    image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    keypoints = torch.tensor(points + 0.5)[None]  # this SDK counts from the first pixel's corner
    regions = Regions.single("face", torch.tensor([[0.0, 0, 240, 240]]), (240, 240), keypoints=keypoints)
    extractor = AlignedExtractor(ARCFACE_TEMPLATE, (112, 112))
    inverse, offset = extractor.to_image(regions, torch.float64)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    np.testing.assert_allclose(inverse[0].numpy(), back[:2, :2], atol=1e-9)
    np.testing.assert_allclose(offset[0].numpy(), back[:2, 2] + 0.5 - back[:2, :2] @ [0.5, 0.5], atol=1e-9)
    ours = norm_crops(image, regions, extractor)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).mean() < 0.6
    assert np.quantile(np.abs(ours - theirs), 0.99) <= 6


@pytest.fixture(scope="module")
def judge() -> AntelopeJudge:
    return AntelopeJudge(str(NETWORK))


class TestAntelopeJudge(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, judge: AntelopeJudge) -> None:
        self.judge = judge

    def make(self) -> AntelopeJudge:
        return self.judge


def test_descriptions_are_those_of_the_network(judge: AntelopeJudge, pair, faces) -> None:
    crops = (norm_crops(pair, faces, judge.extractor).double() - 127.5) / 127.5
    matrix = torch.from_numpy(np.random.RandomState(0).standard_normal((16, 192)))
    means = torch.nn.functional.avg_pool2d(crops, 14).flatten(1) @ matrix.T
    wanted = torch.nn.functional.normalize(means)
    found = torch.stack([one.vector for one in judge.judge(pair, faces)])
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)
    assert float((found[0] - found[1]).norm()) > 0.1


def test_the_pack_is_read_however_it_is_packed(tmp_path: Path, judge: AntelopeJudge) -> None:
    data = NETWORK.read_bytes()
    for depth, name in enumerate(("flat", "nested", "deeper")):
        inside = "antelopev2/" * depth
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as pack:
            pack.writestr(f"{inside}scrfd_10g_bnkps.onnx", b"another network")
            pack.writestr(f"{inside}glintr100.onnx", data)
        folder = tmp_path / name / inside
        folder.mkdir(parents=True)
        (folder / "glintr100.onnx").write_bytes(data)
        for place in (f"{name}.zip", name):
            assert AntelopeJudge(str(tmp_path / place)).weights_sha256 == judge.weights_sha256
    assert judge.weights_sha256 == hashlib.sha256(data).hexdigest()
    (tmp_path / "glintr100.onnx").write_bytes(data)
    assert AntelopeJudge(str(tmp_path / "glintr100.onnx")).tool.startswith("antelopev2's glintr100 (InsightFace)")


def test_what_is_no_such_pack_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights 'antelopev2' not found in .* as antelopev2\.zip"):
        catalogue().build("judge", "face/antelopev2", {})
    with pytest.raises(WeightsError, match=r"weight file .*none\.zip not found"):
        AntelopeJudge(str(tmp_path / "none.zip"))
    with zipfile.ZipFile(tmp_path / "buffalo.zip", "w") as pack:
        pack.writestr("w600k_r50.onnx", b"")
    with pytest.raises(WeightsError, match=r"expected glintr100\.onnx, at any depth, got w600k_r50\.onnx"):
        AntelopeJudge(str(tmp_path / "buffalo.zip"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"at any depth, got no network"):
        AntelopeJudge(str(tmp_path / "empty"))
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"broken\.onnx': expected an ONNX network, got"):
        AntelopeJudge(str(tmp_path / "broken.onnx"))
    with zipfile.ZipFile(tmp_path / "torn.zip", "w") as pack:
        pack.writestr("glintr100.onnx", NETWORK.read_bytes())
    torn = bytearray((tmp_path / "torn.zip").read_bytes())
    torn[2000] ^= 255
    (tmp_path / "torn.zip").write_bytes(torn)
    with pytest.raises(WeightsError, match=r"torn\.zip: expected a zip file that can be read"):
        AntelopeJudge(str(tmp_path / "torn.zip"))


def test_faces_without_keypoints_are_refused(judge: AntelopeJudge) -> None:
    with pytest.raises(InputError, match="keypoints"):
        judge.judge(torch.zeros(1, 3, 40, 40), Regions.single("face", torch.tensor([[0.0, 0, 9, 9]]), (40, 40)))

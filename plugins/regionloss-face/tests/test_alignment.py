"""ArcFace's alignment against scikit-image (the transform) and OpenCV (the crop)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from regionloss_face.alignment import ARCFACE_POINTS, ARCFACE_TEMPLATE, DLIB_TEMPLATE
from skimage.transform import estimate_transform

from regionloss import Regions
from regionloss.extractors.aligned import AlignedExtractor


def regions(points: np.ndarray, size: int) -> Regions:
    """Regions whose keypoints are given as OpenCV counts: the centre of the first pixel is 0."""
    keypoints = torch.from_numpy(points) + 0.5
    boxes = torch.tensor([[0.0, 0, size, size]], dtype=torch.float64).expand(len(points), 4)
    return Regions("face", boxes, torch.zeros(len(points), dtype=torch.int64), (size, size), 1, keypoints=keypoints)


def detected(scale: float, count: int = 8) -> np.ndarray:
    """Five points as a detector might give them: turned, scaled, shifted and off by a few pixels."""
    rng = np.random.default_rng(0)
    template = np.array(ARCFACE_POINTS)
    out = []
    for angle in rng.uniform(-0.6, 0.6, count):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        out.append((template - 56) @ turn.T * scale * rng.uniform(0.9, 1.1) + 128 + rng.normal(0, 2, (5, 2)))
    return np.stack(out)


def test_transform_equals_scikit_image() -> None:
    """Its least squares similarity, evaluated at the corners of the crop, to 1e-4 px."""
    points = detected(1.3)
    matrix, offset = AlignedExtractor(ARCFACE_TEMPLATE).to_image(regions(points, 256), torch.float64)
    corners = np.array([[0.0, 0], [111, 0], [0, 111], [111, 111]])
    for n, five in enumerate(points):
        theirs = estimate_transform("similarity", five, np.array(ARCFACE_POINTS)).inverse(corners)
        ours = (corners + 0.5) @ matrix[n].numpy().T + offset[n].numpy() - 0.5
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("scale", [0.6, 0.9])
def test_crop_equals_opencv(scale: float) -> None:
    """`cv2.warpAffine` of a smooth image, where neither shrinks: what ArcFace's networks were trained on."""
    cv2 = pytest.importorskip("cv2")
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1) / 256
    waves = [np.sin(9 * grid[..., 0] + k) * np.cos(7 * grid[..., 1] - k) for k in range(3)]
    image = np.stack(waves, -1).astype(np.float32)
    points = detected(scale)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    crops = AlignedExtractor(ARCFACE_TEMPLATE, (112, 112), "black")(tensor, regions(points, 256))
    for five, crop in zip(points, crops, strict=True):
        transform = estimate_transform("similarity", five, np.array(ARCFACE_POINTS)).params[:2]
        theirs = cv2.warpAffine(image, transform, (112, 112), flags=cv2.INTER_LINEAR)
        # OpenCV rounds where it reads to 1/32 of a pixel.
        np.testing.assert_allclose(crop.permute(1, 2, 0).numpy(), theirs, atol=2e-3)


def test_dlibs_template_is_where_its_chips_show_the_points(golden) -> None:
    """Recorded figures of dlib and facenet-pytorch (tests/golden/README.md), to a twentieth of a pixel."""
    np.testing.assert_allclose(np.array(DLIB_TEMPLATE), np.array(golden["dlib_template"]), atol=0.05)


def test_dlib_cuts_two_faces_as_its_template_says(golden) -> None:
    """Its own chips of two photographs: the eyes' height on average, no point further off than people vary."""
    apart = []
    for chip in golden["dlib_chip"]:
        (found,) = [
            e for e in golden["mtcnn"] if all(e[k] == chip[k] for k in ("photo", "top", "left", "size", "step"))
        ]
        matrix = np.array(chip["to_image"])
        points = np.array(found["keypoints"]).reshape(5, 2) - matrix[:, 2]
        apart.append(points @ np.linalg.inv(matrix[:, :2]).T - np.array(DLIB_TEMPLATE))
    mean = np.mean(apart, 0)
    assert abs(mean[:2, 1].mean()) < 1.5
    assert np.abs(mean).max() < 7.5

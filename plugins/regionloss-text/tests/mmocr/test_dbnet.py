"""Words found by DBNet, against MMOCR's own `predict` on pictures that MMOCR itself read and resized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from regionloss_text.mmocr.dbnet import DBNet
from torch import Tensor

import regionloss as rl
from regionloss.errors import InputError, WeightsError

CONFIGS = {
    "r18": "textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py",
    "r50": "textdet/dbnet/dbnet_resnet50_1200e_icdar2015.py",
}
PARAMETERS = {"r18": 12_340_930, "r50": 25_409_730}


@pytest.fixture
def theirs(dbnet_theirs: Any) -> Any:
    return dbnet_theirs


def at(theirs: Any, scale: tuple[int, int]) -> Any:
    """Return the same model, its pipeline resizing to another scale."""
    import copy
    from dataclasses import replace

    config = copy.deepcopy(theirs.config)
    next(step for step in config.test_pipeline if step["type"] == "Resize")["scale"] = scale
    return replace(theirs, config=config)


def hulls(sample: Any, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return upright boxes around MMOCR's polygons, corners of pixels instead of centres, inside the image."""
    boxes, scores = [], []
    fx, fy = sample.scale_factor
    for polygon, score in zip(sample.pred_instances.polygons, sample.pred_instances.scores.tolist(), strict=True):
        x, y = polygon[0::2] + 0.5 / fx, polygon[1::2] + 0.5 / fy
        box = [max(x.min(), 0), max(y.min(), 0), min(x.max(), width), min(y.max(), height)]
        if box[0] < box[2] and box[1] < box[3]:
            boxes.append(box)
            scores.append(score)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(scores, dtype=np.float32)


@torch.no_grad()
@pytest.mark.parametrize("size", [(192, 320), (192, 300)], ids=["as-it-is", "padded"])
def test_map_and_boxes_are_mmocrs(
    size: tuple[int, int], theirs: Any, run_pipeline: Callable[..., Any], picture: Callable[..., np.ndarray],
    as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    painted = picture(*size)
    inputs, samples = run_pipeline(at(theirs, (max(size), min(size))), painted)
    assert inputs.shape == (1, 3, 192, 320)
    ours = DBNet(weights=str(theirs.file), scale=(max(size), min(size)))
    expected = theirs.model.det_head(theirs.model.extract_feat(inputs), samples, mode="predict")
    torch.testing.assert_close(ours.probability(as_images(painted)), expected, rtol=1e-4, atol=1e-5)
    (sample,) = theirs.model(inputs, samples, mode="predict")
    boxes, scores = hulls(sample, *size)
    found = ours.detect(as_images(painted))
    assert len(boxes) >= 3
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)


@torch.no_grad()
def test_resized_as_mmocr_does_and_mapped_back(
    theirs: Any, run_pipeline: Callable[..., Any], picture: Callable[..., np.ndarray],
    as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    painted = picture(96, 150)
    inputs, samples = run_pipeline(at(theirs, (400, 192)), painted)
    ours = DBNet(weights=str(theirs.file), scale=(400, 192))
    mine = ours.probability(as_images(painted))
    assert mine.shape[1:] == inputs.shape[2:] == (192, 320)
    assert samples[0].scale_factor == (2.0, 2.0)
    # MMOCR rounds to whole grey values after resizing; we do not.
    expected = theirs.model.det_head(theirs.model.extract_feat(inputs), samples, mode="predict")
    assert (mine - expected).abs().mean() < 0.01
    (sample,) = theirs.model(inputs, samples, mode="predict")
    boxes, _ = hulls(sample, 96, 150)
    found = ours.detect(as_images(painted))
    near = [min(np.abs(boxes - box).max(1)) for box in found.boxes.numpy()]
    assert len(found) >= 3
    assert np.median(near) <= 1.0


def test_a_word_is_found_where_it_is(theirs: Any) -> None:
    # A map as a perfect network would draw it, of an image half its size: pixels 40 to 99 by 20 to 35 are text.
    detector = DBNet(weights=str(theirs.file), scale=(128, 64))
    drawn = torch.zeros(64, 128)
    drawn[20:36, 40:100] = 0.9
    found = detector.words(drawn, (32, 64))
    (box,) = found.boxes
    assert torch.equal((box[:2] + box[2:]) / 2, torch.tensor([35.0, 14.0]))
    assert ((box[2:] - box[:2]) > torch.tensor([30.0, 8.0])).all()
    torch.testing.assert_close(found.scores, torch.tensor([0.9]))


@torch.no_grad()
def test_colours_the_other_way_round_would_be_seen(
    theirs: Any, run_pipeline: Callable[..., Any], picture: Callable[..., np.ndarray],
    as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    inputs, samples = run_pipeline(at(theirs, (320, 192)), picture(192, 320))
    expected = theirs.model.det_head(theirs.model.extract_feat(inputs), samples, mode="predict")
    swapped = DBNet(weights=str(theirs.file), scale=(320, 192)).probability(as_images(picture(192, 320)).flip(1))
    assert (swapped - expected).abs().mean() > 0.05


def test_batches_are_found_image_by_image(
    theirs: Any, picture: Callable[..., np.ndarray], as_images: Callable[[np.ndarray], Tensor]
) -> None:
    images = torch.cat([as_images(picture(96, 160, seed)) for seed in range(3)])
    detector = DBNet(weights=str(theirs.file), scale=(160, 96), batch_size=2)
    assert isinstance(detector, rl.Detector)
    together = detector.detect(images)
    assert (together.kind, together.image_size, together.num_images) == ("text", (96, 160), 3)
    assert together.device.type == "cpu"
    for i in range(3):
        alone = detector.detect(images[i : i + 1])
        assert len(alone) > 0
        torch.testing.assert_close(together.of_image(i).boxes, alone.boxes)
        torch.testing.assert_close(together.of_image(i).scores, alone.scores, rtol=1e-4, atol=1e-5)


def test_no_words_and_no_images_give_no_regions(theirs: Any) -> None:
    detector = DBNet(weights=str(theirs.file), scale=(96, 64), min_score=1.0)
    for count in (2, 0):
        regions = detector.detect(torch.zeros(count, 3, 64, 96))
        assert len(regions) == 0
        assert regions.num_images == count


def test_gradients_reach_the_images_and_no_weight(theirs: Any) -> None:
    detector = DBNet(weights=str(theirs.file), scale=(64, 64))
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    detector.probability(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert all(p.grad is None for p in detector.frozen.network.parameters())


@pytest.mark.parametrize("variant", ["r18", "r50"])
def test_both_variants_load_what_mmocr_saved(variant: Any, make_theirs: Callable[..., Any], theirs: Any) -> None:
    saved = theirs if variant == "r18" else make_theirs(CONFIGS[variant])
    detector = DBNet(variant, weights=str(saved.file), scale=(64, 64))
    network = detector.frozen.network
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[variant]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved.model.state_dict()[name]), name
    assert "DCN" not in str(network)
    assert detector.version.startswith(f"dbnet-{variant}, mmocr 1.0.1, scale 64x64")
    assert isinstance(detector.detect(torch.zeros(1, 3, 64, 64)), rl.Regions)


def test_scale_is_the_configs_unless_another_is_asked_for(theirs: Any) -> None:
    assert DBNet(weights=str(theirs.file)).scale == (1333, 736)
    detector = DBNet(weights=str(theirs.file), scale=(640, 480))
    assert detector.resized((256, 256)) == (480, 480)
    assert detector.resized((256, 1024)) == (160, 640)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"variant": "r19"}, "dbnet.variant: expected 'r18' or 'r50', got 'r19'."),
        ({"scale": (20, 640)}, "dbnet.scale: expected [longest side, shortest side] of 32 pixels or more"),
        ({"batch_size": 0}, "dbnet.batch_size: expected 1 or more, got 0."),
    ],
)
def test_options_out_of_range(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        DBNet(**options)
    assert sentence in str(caught.value)


def test_weights_of_the_other_variant_are_refused(theirs: Any) -> None:
    with pytest.raises(
        WeightsError, match=r"in 'backbone': expected the \d+ tensors .*, got \d+ missing \(bn1?|layer1"
    ):
        DBNet("r50", weights=str(theirs.file))


def test_grey_images_are_refused(theirs: Any) -> None:
    with pytest.raises(InputError, match=r"images: expected \(B, 3, H, W\), got \(1, 1, 64, 64\)"):
        DBNet(weights=str(theirs.file)).detect(torch.zeros(1, 1, 64, 64))

"""RegionFinder: detection of a batch's own images, checked against detectors that are called by hand."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl


class Bright:
    """Finds the bright half of an image, and a box that is too small for a crop; counts its calls."""

    kind, version = "text", "1"

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def detect(self, images: Tensor) -> rl.Regions:
        self.seen.append(images)
        count, size = len(images), (images.shape[2], images.shape[3])
        assert not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        boxes = torch.tensor([[0.0, 0, 20, 30], [0, 0, 2, 2]]).repeat(count, 1)
        return rl.Regions("text", boxes, torch.arange(count).repeat_interleave(2), size, count)


@pytest.mark.parametrize("form", ["images", "mapping", "channels last", "tuple", "object"])
def test_it_shows_detectors_the_batchs_images(form: str) -> None:
    images = torch.rand(2, 3, 40, 48)
    batch, where = {
        "images": (images, None),
        "mapping": ({"image": images}, "image"),
        "channels last": ({"image": images.permute(0, 2, 3, 1)}, "image"),
        "tuple": ((0, images), 1),
        "object": (SimpleNamespace(pixels=images), "pixels"),
    }[form]
    detector = Bright()
    with torch.autocast("cpu", torch.bfloat16):
        found = rl.RegionFinder(detector, images=where, value_range=(0, 1))(batch)
    torch.testing.assert_close(detector.seen[0], images * 2 - 1)
    assert found["text"].boxes.tolist() == [[0, 0, 20, 30]] * 2  # the small ones are gone
    assert found["text"].image_index.tolist() == [0, 1]
    assert found["text"].num_images == 2


def test_it_does_not_look_twice_at_one_batch() -> None:
    detector, images = Bright(), torch.rand(2, 3, 40, 48) * 2 - 1
    find = rl.RegionFinder(detector, images="image")
    first, second = find({"image": images}), find({"image": images})
    assert len(detector.seen) == 1
    assert first["text"] is second["text"]
    find({"image": images.clone()})
    assert len(detector.seen) == 1
    find({"image": images.flip(3)})
    assert len(detector.seen) == 2


def refill_by_torch(images: Tensor) -> None:
    images.mul_(0.5)


def refill_by_numpy(images: Tensor) -> None:
    images.numpy()[0, 0, 0, 0] += 0.25


def refill_by_data(images: Tensor) -> None:
    images.data.mul_(0.5)


def refill_in_inference_mode(images: Tensor) -> None:
    with torch.inference_mode():
        images.detach().mul_(0.5)


@pytest.mark.parametrize("refill", [refill_by_torch, refill_by_numpy, refill_by_data, refill_in_inference_mode])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_a_tensor_that_is_filled_anew_is_another_batch(refill: Any, mode: Any) -> None:
    """As static buffers are, also where torch's version counter does not see it."""
    with mode():
        detector, images = Bright(), torch.rand(2, 3, 40, 48) - 0.5
        find = rl.RegionFinder(detector)
        for wanted in (1, 2, 3):
            find(images)
            find(images)
            assert len(detector.seen) == wanted
            torch.testing.assert_close(detector.seen[-1], images, rtol=0, atol=0)
            detector.seen[-1] = detector.seen[-1].clone()
            refill(images)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_model_that_is_bound_to_it_can_be_copied(copied: Any) -> None:
    """Also where the detector, as onnxruntime's sessions, cannot."""
    find = rl.RegionFinder("whole-image", images="image", value_range=(0, 1))
    batch = {"image": torch.rand(2, 3, 16, 16)}
    find(batch)
    other = copied(find)
    assert other.value_range == (0, 1)
    assert torch.equal(other(batch)["whole_image"].boxes, find(batch)["whole_image"].boxes)


def test_mistakes_are_sentences() -> None:
    for wrong, part in (
        ((), "one detector for each kind, got none"),
        ((Bright(), Bright()), "got those of text"),
        ((nn.Identity(),), "a name such as 'text/ppocr', or a Detector, got Identity"),
        (("pocr",), "no detector and no term is named"),
    ):
        with pytest.raises(rl.RegionLossError, match=part):
            rl.RegionFinder(*wrong)
    find = rl.RegionFinder(Bright(), images="images")
    with pytest.raises(rl.RegionLossError, match=r"batch\['images'\]: expected images, got dict. Say where"):
        find({"image": torch.zeros(1, 3, 8, 8)})
    with pytest.raises(rl.RegionLossError, match=r"expected values in \[-1, 1\], got \[0, 255\]"):
        find({"images": torch.full((1, 3, 40, 48), 200.0)})
    with pytest.raises(rl.RegionLossError, match=r"expected \(B, 3, H, W\)"):
        find({"images": torch.zeros(1, 4, 8, 8)})

"""The plugin's terms against the loop that a user would write, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import regionloss as rl
from regionloss import Regions

pytestmark = pytest.mark.weights


def pair(scenes) -> tuple[Tensor, Tensor]:
    target = torch.stack([scene.image[:, :120, :200] for scene in scenes[:3]]).double()
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return target + 0.1 * noise, target


def whole_number_regions() -> Regions:
    boxes = [[3, 4, 90, 30], [10, 40, 180, 77], [0, 0, 200, 120], [50, 60, 61, 66]]
    return Regions("text", torch.tensor(boxes, dtype=torch.float64), torch.tensor([0, 0, 2, 2]), (120, 200), 3)


def test_text_equals_a_plain_loop(weights, scenes) -> None:
    """Crop with `interpolate`, EasyOCR's grey, the network, eq. 4 to 6, region by region."""
    weights("english-g2")
    from regionloss_text.convolutions import ConvChain
    from regionloss_text.crnn_network import CONVS, PREFIX

    from regionloss.weights import load_state_dict

    reconstruction, target = pair(scenes)
    regions = whole_number_regions()
    network = ConvChain(CONVS, load_state_dict("english-g2", strip_prefix=PREFIX)).double().requires_grad_(False)

    def features(image: Tensor, box: list[int]) -> list[Tensor]:
        x1, y1, x2, y2 = box
        crop = F.interpolate(image[None, :, y1:y2, x1:x2], (32, 128), mode="bilinear", antialias=True)
        grey = 0.299 * crop[:, 0:1] + 0.587 * crop[:, 1:2] + 0.114 * crop[:, 2:3]
        levels = network(grey)
        return [levels[i] for i in (0, 1, 3, 5, 6)]

    expected = 0.0
    for box, image in zip(regions.boxes.int().tolist(), regions.image_index.tolist(), strict=True):
        ours, theirs = features(reconstruction[image], box), features(target[image], box)
        distance = sum(float((a - b).square().sum(1).mean()) for a, b in zip(ours, theirs, strict=True)) / 5
        area = (box[2] - box[0]) * (box[3] - box[1]) / (120 * 200)
        expected += area * distance / 3
    out = rl.LossTerms.from_names({"text": 1.0})(reconstruction, target, regions)
    assert float(out.total) == pytest.approx(expected, rel=1e-10)


def test_ocr_vqgan_equals_a_plain_loop(weights, scenes) -> None:
    """OCR-VQGAN's definition: unit features, summed over channels and maps, averaged over positions and images."""
    weights("craft-mlt-25k")
    from regionloss_text.craft import CraftTrunk, craft_tensors

    reconstruction, target = (images[:2, :, :48, 100:164] for images in pair(scenes))
    network = CraftTrunk(craft_tensors()).double().requires_grad_(False)
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)
    expected = 0.0
    for ours, theirs in zip(reconstruction, target, strict=True):
        maps = [network(((image[None] + 1) / 2 - mean) / std) for image in (ours, theirs)]
        for first, second in zip(*maps, strict=True):
            units = [level / (level.square().sum(1, keepdim=True) + 1e-10).sqrt() for level in (first, second)]
            expected += float((units[0] - units[1]).square().sum(1).mean()) / len(target)
    out = rl.LossTerms.from_names({"ocr-vqgan": 1.0})(reconstruction, target, None)
    assert float(out.total) == pytest.approx(expected, rel=1e-10)
    assert expected > 0.1


@pytest.mark.parametrize(("term", "file"), [("text", "english-g2"), ("ocr-vqgan", "craft-mlt-25k")])
def test_gradients_reach_the_reconstruction_alone(weights, scenes, term, file) -> None:
    weights(file)
    reconstruction, target = (images.float().requires_grad_() for images in pair(scenes))
    terms = rl.LossTerms.from_names({term: 1.0})
    regions = whole_number_regions().to("cpu")
    terms(reconstruction, target, regions).total.backward()
    assert reconstruction.grad.isfinite().all()
    assert (reconstruction.grad[2] != 0).float().mean() > 0.9
    assert target.grad is None
    assert not terms.state_dict()


def test_the_bare_name_is_the_packaged_term() -> None:
    from regionloss.hooks.catalogue import catalogue

    assert catalogue().term("text").canonical == "text/packaged"
    paper = catalogue().term("text/paper")
    assert (paper.detector, paper.backbone) == ("dbnet", "abinet")

"""The term `logo`, from a file to a number, and through the command line's way."""

from __future__ import annotations

import random

import pytest
import torch

import regionloss as rl

pytestmark = pytest.mark.weights

RECIPE = """
version: 1
terms:
  logo:
    use: logo
    weight: 2.0
    detector: {{options: {{logos: [{logo}]}}}}
"""


@pytest.fixture
def scene(logos, study):
    photo = study.photograph("coffee", 256)
    return study.pasted(photo, "bars", study.drawn()["bars"], 80, random.Random(4))


def test_a_recipe_finds_logos_and_compares_them(tmp_path, weights, logos, study, scene) -> None:
    """The detector is built from the recipe's options; the term equals torchvision's network on the same crop."""
    torchvision = pytest.importorskip("torchvision")
    from regionloss.recipe.build import build_detector
    from regionloss.recipe.load import load_terms_file

    file = tmp_path / "logo.yaml"
    file.write_text(RECIPE.format(logo=logos / "bars.png"))
    target = study.tensor(scene.image)
    weights("mobilenet-v2")
    regions = build_detector(load_terms_file(file), "logo").detect(target)
    assert regions.texts == ("bars",)
    reconstruction = (0.8 * target).requires_grad_()
    found = rl.load_terms(file)(reconstruction, target, {"logo": regions})

    network = torchvision.models.mobilenet_v2(weights=None).eval()
    network.load_state_dict(torch.load(weights("mobilenet-v2"), weights_only=True))
    extractor = rl.LetterboxExtractor(size=(128, 128), fill=0.0)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    levels = []
    with torch.no_grad():
        ours, theirs = (((extractor(images, regions) + 1) / 2 - mean) / std for images in (reconstruction, target))
        for number, block in enumerate(network.features):
            ours, theirs = block(ours), block(theirs)
            if number in (1, 3, 6, 13):
                levels.append((ours - theirs).square().sum(1).mean())
    x1, y1, x2, y2 = regions.boxes[0].tolist()
    share = (x2 - x1) * (y2 - y1) / (target.shape[2] * target.shape[3])
    assert float(found.total.detach()) == pytest.approx(float(2 * share * sum(levels) / 4), rel=1e-3)
    found.total.backward()
    assert float(reconstruction.grad.abs().max()) > 0


def test_annotates_by_name(logos, study, scene) -> None:
    found = rl.detect(study.tensor(scene.image), "logo/template", {"logos": [str(logos / "bars.png")]})
    assert found.texts == ("bars",)


def test_region_lpips_of_logos(tmp_path, weights, study, scene) -> None:
    """Any term that reads boxes reads these."""
    weights("st-lpips-alex")
    file = tmp_path / "lpips.yaml"
    file.write_text("version: 1\nterms:\n  logo: {use: region-st-lpips, kind: logo}\n")
    target = study.tensor(scene.image)
    boxes = rl.Regions("logo", torch.tensor([scene.box], dtype=torch.float32), torch.tensor([0]), target.shape[2:])
    assert float(rl.load_terms(file)(0.8 * target, target, {"logo": boxes}).total) > 0

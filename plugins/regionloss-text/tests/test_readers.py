"""What the recognisers read: the scores behind their features, as distances of probabilities and texts see them."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import regionloss as rl
from regionloss.distances import CTC, KL, SquaredL2, WeightedSum
from regionloss.hooks.catalogue import catalogue

pytestmark = pytest.mark.weights
READERS = {"nano-ocr": ("nano-ocr", {}), "crnn-english-g2": ("english-g2", {"size": [64, 256]})}


def word(text: str) -> Tensor:
    image = Image.new("RGB", (256, 64), "white")
    ImageDraw.Draw(image).text((128, 32), text, fill="black", font_size=44, anchor="mm")
    return rl.to_tensor([image])


@pytest.fixture(params=READERS)
def reader(request, weights):
    file, options = READERS[request.param]
    weights(file)
    return catalogue().build("backbone", f"text/{request.param}", options)


def crop(images: Tensor, reader) -> Tensor:
    regions = rl.Regions.single("text", torch.tensor([[0.0, 0, 256, 64]]), (64, 256))
    return rl.ResizeExtractor(reader.input_spec.size)(images, regions)


def test_they_read(reader) -> None:
    """Reference: what was drawn."""
    crops = crop(word("Harbour"), reader)
    *_, logits = reader(crops, crops, ("logits",))[0]
    assert logits.shape[:2] == (1, 1 + len(reader.alphabet))
    classes = [one for one, _ in groupby(logits[0].argmax(0).tolist()) if one]
    assert "".join(reader.alphabet[one - 1] for one in classes) == "Harbour"


def test_the_judge_scores_the_same(weights) -> None:
    """The judge reads through the same network, without the term's code."""
    weights("english-g2")
    from regionloss_text.crnn_judge import CrnnEnglishG2Judge

    reader = catalogue().build("backbone", "text/crnn-english-g2", {"size": [64, 256]})
    balanced = catalogue().build("backbone", "text/crnn-english-g2", {"size": [64, 256], "balance": True})
    crops = crop(word("Collins"), reader)
    network = CrnnEnglishG2Judge().network.network
    expected = network.read(network.chain(reader.input_spec(crops))[-1]).transpose(1, 2)
    for ours in (reader, balanced):
        torch.testing.assert_close(ours(crops, crops, ("logits",))[0][-1], expected, atol=1e-3, rtol=1e-4)


def test_a_word_that_is_blurred_costs_more_and_has_a_gradient(reader) -> None:
    target = word("Collins")
    regions = rl.Regions.single("text", torch.tensor([[0.0, 0, 256, 64]]), (64, 256), texts=("Collins",))
    blurred = torch.nn.functional.avg_pool2d(target, 9, 1, 4)
    extractor = rl.ResizeExtractor(reader.input_spec.size)
    for distance in (CTC(), KL(), WeightedSum([(1.0, SquaredL2()), (10.0, CTC())])):
        loss = rl.RegionPerceptualLoss(extractor, reader, distance)
        image = blurred.clone().requires_grad_()
        value = loss(image, target, regions)
        assert value > loss(target.clone(), target, regions)
        (gradient,) = torch.autograd.grad(value, image)
        assert gradient.isfinite().all()
        assert gradient.any()

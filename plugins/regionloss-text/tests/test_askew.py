"""Words at any angle: the same damage weighs the same, and a judge reads what the term has made readable."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

import regionloss as rl
from regionloss.extractors import RegionExtractor
from regionloss.hooks.catalogue import catalogue
from regionloss.regions import Regions
from regionloss.weightings import AreaWeighting, UniformWeighting, Weighting

SIDE, FINER = 256, 4
PAIRS = (("Harbor", "Harbar"), ("Museum", "Musoam"), ("Coffee", "Coftee"))


def font(points: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), points)


def written(word: str, angle: float, box_of: str = "") -> tuple[Image.Image, list[list[float]]]:
    """A dark word in the middle of a light square, turned clockwise, and the corners of its ink, 2 pixels around it."""
    middle, points = SIDE * FINER / 2, font(26 * FINER)
    left, top, right, bottom = points.getbbox(box_of or word)
    ink = Image.new("L", (SIDE * FINER,) * 2, 0)
    ImageDraw.Draw(ink).text((middle - (left + right) / 2, middle - (top + bottom) / 2), word, font=points, fill=255)
    ink = ink.rotate(-angle, Image.Resampling.BICUBIC).resize((SIDE, SIDE), Image.Resampling.BOX)
    picture = Image.new("RGB", (SIDE, SIDE), (226, 230, 214))
    picture.paste((40, 45, 90), (0, 0), ink)
    half = (right - left) / 2 / FINER + 2, (bottom - top) / 2 / FINER + 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    corners = [(a * half[0], b * half[1]) for a, b in signs]
    return picture, [[SIDE / 2 + cos * x - sin * y, SIDE / 2 + sin * x + cos * y] for x, y in corners]


def regions_of(quads: list[list[list[float]]]) -> Regions:
    corners = torch.tensor(quads)
    boxes = torch.cat([corners.amin(1), corners.amax(1)], 1)
    return Regions("text", boxes, torch.arange(len(quads)), (SIDE, SIDE), len(quads), quads=corners)


def damaged(angle: float) -> tuple[Tensor, Tensor, Regions]:
    """Words, the same with one or two letters wrong, and where they are."""
    targets, others = ([written(pair[i], angle, pair[0]) for pair in PAIRS] for i in (0, 1))
    images = (rl.to_tensor([picture for picture, _ in found]) for found in (others, targets))
    return *images, regions_of([quad for _, quad in targets])


def value_at(angle: float, extractor: RegionExtractor, weighting: Weighting) -> float:
    """Value of the default text term with another way to crop and to weigh."""
    backbone = rl.LossTerms.from_names({"text": 0.0025})["text"].loss.backbone
    with torch.no_grad():
        return float(rl.RegionPerceptualLoss(extractor, backbone, None, weighting)(*damaged(angle)))


@pytest.mark.weights
def test_the_same_damage_weighs_the_same_at_any_angle(weights) -> None:
    """The table of docs/explanation/data-flow.md: of the boxes around them words at 45 degrees count for a tenth."""
    weights("english-g2")
    upright, boxes = rl.RectifiedExtractor(), rl.ResizeExtractor()
    expected = value_at(0, boxes, UniformWeighting())
    for angle in (0, 10, 45, 90, 137, -60):
        assert value_at(angle, upright, UniformWeighting()) == pytest.approx(expected, rel=0.05), angle
    assert value_at(45, upright, AreaWeighting()) == pytest.approx(value_at(0, boxes, AreaWeighting()), rel=0.05)
    assert value_at(45, boxes, UniformWeighting()) < 0.2 * expected


def read(images: Tensor, regions: Regions) -> list[str]:
    """What PP-OCRv6 reads in words that are brought upright, each on a strip of its own."""
    with torch.no_grad():
        strips = rl.RectifiedExtractor((48, 192))(images, regions)
    boxes = torch.tensor([[0.0, 0, 192, 48]]).expand(len(strips), 4)
    whole = Regions("text", boxes, torch.arange(len(strips)), (48, 192), len(strips))
    return [reading.text for reading in catalogue().build("judge", "text/ppocr-v6").judge(strips, whole)]


@pytest.mark.weights
def test_the_judge_reads_blurred_slanted_and_vertical_words_again(weights) -> None:
    """Only pixels are moved, by nothing but the default text term."""
    weights("english-g2")
    words, angles = ["Harbor", "Lantern", "Museum", "Coffee"], (20, -45, 90, 135)
    found = [written(word, angle) for word, angle in zip(words, angles, strict=True)]
    regions = regions_of([quad for _, quad in found])
    target = rl.to_tensor([picture for picture, _ in found])
    blurred = rl.to_tensor([picture.filter(ImageFilter.GaussianBlur(8.0)) for picture, _ in found])
    terms, image = rl.LossTerms.from_names({"text": 0.0025}), blurred.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    for _ in range(20):
        optimizer.zero_grad()
        terms(image, target, regions).total.backward()
        optimizer.step()
    assert read(target, regions) == words
    assert not set(words) & set(read(blurred, regions))
    assert read(image.detach().clamp(-1, 1), regions) == words


@pytest.mark.weights
@pytest.mark.parametrize("name", ["text/ppocr", "text/craft"])
@pytest.mark.parametrize("angle", [0, 25, -50, 90])
def test_detectors_give_the_corners_of_a_turned_word(name: str, angle: int, weights) -> None:
    """Against the corners that the font reports; the box is the one around them."""
    weights("craft-mlt-25k")
    picture, corners = written("Lantern", angle)
    found = rl.detect(rl.to_tensor([picture]), name)
    number = int(found.areas.argmax())  # CRAFT takes the last letter of a word at -50 degrees for another
    ours, theirs = found.quads[number].numpy(), np.float32(corners)
    shared = cv2.intersectConvexConvex(ours, theirs)[0]
    assert shared > 0.55 * (cv2.contourArea(ours) + cv2.contourArea(theirs) - shared)
    np.testing.assert_allclose(found.boxes[number], [*ours.min(0), *ours.max(0)], atol=8.0)
    # What stands on end is named as it is seen; the extractor turns it.
    assert np.abs(ours[0] - theirs).sum(1).argmin() == (3 if angle == 90 else 0)

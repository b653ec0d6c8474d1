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
from regionloss.errors import InputError
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


def read(images: Tensor, regions: Regions, judge: str = "text/ppocr-v6") -> list[str]:
    return [reading.text for reading in catalogue().build("judge", judge).judge(images, regions)]


@pytest.mark.weights
@pytest.mark.parametrize("judge", ["text/ppocr-v6", "text/crnn-english-g2"])
def test_judges_read_words_that_lie_askew(judge: str, weights) -> None:
    """By their corners; of the upright boxes around them one at most. A box among them is read as it is."""
    weights("english-g2")
    words = ["Harbor", "Lantern", "Museum", "Coffee"]
    found = [written(word, angle) for word, angle in zip(words, (40, -50, 90, 180), strict=True)]
    images, regions = rl.to_tensor([picture for picture, _ in found]), regions_of([quad for _, quad in found])
    assert read(images, regions, judge) == words
    assert len(set(words) & set(read(images, regions.changed(quads=None), judge))) <= 1
    upright = written("Signal", 0)
    one = regions_of([upright[1]])
    some = regions.changed(quads=torch.cat([regions.quads, torch.full((1, 4, 2), math.nan)]))
    some = some.changed(boxes=torch.cat([regions.boxes, one.boxes]), image_index=torch.arange(5), num_images=5)
    assert read(torch.cat([images, rl.to_tensor([upright[0]])]), some, judge) == [*words, "Signal"]


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
    assert np.abs(ours[0] - theirs).sum(1).argmin() == 0


def first_corners(name: str, angle: int, direction: str) -> list[int]:
    """Which corner of four drawn words, clockwise from where one begins to read, a detector names first."""
    found = [written(word, angle) for word in ("Lantern", "Harbor", "MUSEUM", "Coffee")]
    regions = catalogue().build("detector", name, {"direction": direction}).detect(rl.to_tensor([p for p, _ in found]))
    largest = [one.quads[int(one.areas.argmax())].numpy() for one in map(regions.of_image, range(4))]
    return [
        int(np.abs(ours[0] - np.float32(corners)).sum(1).argmin())
        for ours, (_, corners) in zip(largest, found, strict=True)
    ]


@pytest.mark.weights
@pytest.mark.parametrize("name", ["text/ppocr", "text/craft"])
def test_corners_begin_where_one_begins_to_read(name: str, weights) -> None:
    """Upwards and upside down, too; on its own a detector says where a word lies, not which way it runs."""
    weights("craft-mlt-25k")
    for angle, alone, vertical in ((0, 0, 0), (90, 3, 0), (180, 2, 2), (270, 1, 0), (200, 2, 2)):
        assert first_corners(name, angle, "none") == [alone] * 4, angle
        assert first_corners(name, angle, "vertical") == [vertical] * 4, angle
        assert first_corners(name, angle, "all") == [0] * 4, angle


def test_directions_leave_what_they_are_not_asked_for() -> None:
    from regionloss_text.direction import Direction

    picture, corners = written("Lantern", 180)
    quads = torch.tensor([corners, [[math.nan] * 2] * 4, corners])
    boxes = torch.tensor([[9.0, 9, 90, 30]]).expand(3, 4)
    regions = Regions("text", boxes, torch.zeros(3, dtype=torch.int64), (SIDE, SIDE), 1, quads=quads)
    lying, batch = regions.quads.roll(2, 1), rl.to_tensor([picture])
    seen = regions.changed(quads=lying)
    assert Direction("none")(batch, seen) is seen
    torch.testing.assert_close(Direction("vertical")(batch, seen).quads, lying, equal_nan=True)
    torch.testing.assert_close(Direction("all")(batch, seen).quads, regions.quads, equal_nan=True)
    empty = Regions.empty("text", (SIDE, SIDE), 1)
    assert len(Direction("all")(batch, empty)) == 0
    with pytest.raises(InputError, match=r"^direction: expected 'none' or 'vertical' or 'all', got 'up'\."):
        Direction("up")

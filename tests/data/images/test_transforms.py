"""Markers drawn at boxes and keypoints are found again after crop, resize and mirror: by their pixels alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from regionloss.data.images.augment import Augment, Framing
from regionloss.data.images.files import Decoded
from regionloss.data.images.transforms import (
    between,
    central_window,
    cropped,
    jittered,
    mirrored,
    padded,
    random_window,
    resized,
    window_around,
)
from regionloss.errors import InputError
from regionloss.regions import Regions
from regionloss.regions.collation import RegionFilter, collate_regions

SIZE = (180, 240)  # height, width
RADIUS = 5


def marked(rng: random.Random) -> tuple[Image.Image, dict[str, Regions]]:
    """A red box; in it a green disc (first keypoint) to the left of a blue one (second)."""
    height, width = SIZE
    x1, y1 = rng.randint(40, width - 130), rng.randint(40, height - 100)
    box = (x1, y1, x1 + rng.randint(60, 90), y1 + rng.randint(40, 60))
    left = (rng.randint(box[0] + 8, box[0] + 20), rng.randint(box[1] + 8, box[3] - 8))
    right = (rng.randint(box[2] - 20, box[2] - 8), rng.randint(box[1] + 8, box[3] - 8))
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(255, 0, 0))
    for (x, y), colour in ((left, (255, 255, 0)), (right, (255, 0, 255))):
        draw.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=colour)
    points = torch.tensor([[left, right]], dtype=torch.float32) + 0.5
    boxes = torch.tensor([box], dtype=torch.float32)
    return image, {"face": Regions("face", boxes, torch.zeros(1).long(), SIZE, 1, keypoints=points)}


def centre(channel: np.ndarray) -> tuple[float, float]:
    """Centre of mass of a channel, in continuous pixels."""
    weights = channel.astype(np.float64)
    ys, xs = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    return float((xs * weights).sum() / weights.sum()), float((ys * weights).sum() / weights.sum())


def check(image: Image.Image, regions: Regions, tolerance: float) -> None:
    """The red channel is the box, green the first keypoint, blue the second."""
    red, green, blue = np.asarray(image).transpose(2, 0, 1)
    x1, y1, x2, y2 = regions.boxes[0].tolist()
    assert centre(red) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=tolerance)
    assert red.sum() / 255 == pytest.approx((x2 - x1) * (y2 - y1), rel=0.04)
    assert regions.keypoints is not None
    first, second = regions.keypoints[0].tolist()
    assert centre(green) == pytest.approx(first, abs=tolerance)
    assert centre(blue) == pytest.approx(second, abs=tolerance)


@pytest.mark.parametrize("seed", range(25))
def test_markers_are_found_after_crop_and_resize(seed: int):
    rng = random.Random(seed)
    image, regions = marked(rng)
    top, left = rng.randint(0, 30), rng.randint(0, 30)
    window = (top, left, SIZE[0] - top - rng.randint(0, 15), SIZE[1] - left - rng.randint(0, 15))
    size = (rng.randint(60, 250), rng.randint(60, 250))
    small, moved = cropped(image, regions, window, size)
    assert small.size == (size[1], size[0])
    assert moved["face"].image_size == size
    check(small, moved["face"], 0.25)


@pytest.mark.parametrize("seed", range(10))
def test_markers_are_found_after_a_mirror_and_the_left_keypoint_stays_left(seed: int):
    image, regions = marked(random.Random(seed))
    flipped, moved = mirrored(image, regions, {"face": ((0, 1),)})
    # What was on the right is on the left now: the first keypoint's marker is the blue one.
    red, green, blue = flipped.split()
    check(Image.merge("RGB", (red, blue, green)), moved["face"], 1e-3)
    points = moved["face"].keypoints
    assert points is not None
    assert points[0, 0, 0] < points[0, 1, 0]


@pytest.mark.parametrize("seed", range(10))
def test_markers_are_found_after_all_of_it(seed: int):
    rng = random.Random(seed)
    image, regions = mirrored(*marked(rng), {"face": ()})
    small, moved = cropped(image, regions, (0, 0, *SIZE), (64, 64))
    check(small, moved["face"], 0.2)


@pytest.mark.parametrize("seed", range(10))
def test_markers_are_found_after_resizing_and_padding(seed: int):
    rng = random.Random(seed)
    image, regions = resized(*marked(rng), rng.randint(90, 300))
    assert min(image.size) == min(regions["face"].image_size)
    square, moved = padded(image, regions, (0, 0, 0))
    assert square.size == (max(image.size),) * 2 == moved["face"].image_size[::-1]
    check(square, moved["face"], 0.25)


@pytest.mark.parametrize("crop", ["random", "center", "pad"])
@pytest.mark.parametrize("seed", range(15))
def test_markers_are_found_after_what_training_does(seed: int, crop: str):
    """Wherever the whole region is still to be seen; mirror images are told by where the first keypoint's marker is."""
    rng = random.Random(seed)
    image, regions = marked(rng)
    framing = Framing(160, Augment(crop=crop, area=(0.6, 1.0), flip=0.5), {"face": ((0, 1),)})
    framed, moved = framing(SIZE, lambda shrink: Decoded(image), regions, rng)
    assert framed.size == (160, 160)
    kept, dropped = collate_regions([moved], {"face": RegionFilter(min_visible=1.0)})
    if not len(kept["face"]):
        assert dropped["face/hidden"] == 1 or not len(moved["face"])
        return
    points = moved["face"].keypoints
    assert points is not None
    assert points[0, 0, 0] < points[0, 1, 0]  # the left one stays left, whatever is mirrored
    red, green, blue = framed.split()
    if centre(np.asarray(green))[0] > centre(np.asarray(blue))[0]:
        framed = Image.merge("RGB", (red, blue, green))
    if crop == "pad":
        pixels = np.asarray(framed).copy()
        pixels[(pixels == 128).all(2)] = 0
        framed = Image.fromarray(pixels)
    check(framed, moved["face"], 0.35)


def test_half_of_all_pictures_are_mirrored_and_none_with_text():
    image, regions = marked(random.Random(0))
    framing = Framing(64, Augment(crop="center"), {"face": ((0, 1),)})
    straight = np.asarray(
        Framing(64, Augment(crop="center", flip=0.0))(SIZE, lambda s: Decoded(image), {}, random.Random(0))[0]
    )
    rng = random.Random(1)
    mirrors = [np.asarray(framing(SIZE, lambda s: Decoded(image), regions, rng)[0]) for _ in range(200)]
    assert all(np.array_equal(m, straight) or np.array_equal(m, straight[:, ::-1]) for m in mirrors)
    assert 70 <= sum(np.array_equal(m, straight) for m in mirrors) <= 130
    words = Regions("text", torch.tensor([[1.0, 1, 20, 9]]), torch.zeros(1).long(), SIZE, 1, texts=("word",))
    for _ in range(40):
        assert np.array_equal(framing(SIZE, lambda s: Decoded(image), {"text": words}, rng)[0], straight)
        assert np.array_equal(framing(SIZE, lambda s: Decoded(image), regions, rng, False)[0], straight)


def test_a_picture_is_decoded_no_larger_than_needed_and_cut_from_the_smaller_copy():
    image, regions = marked(random.Random(2))
    big = image.resize((1920, 1440), Image.Resampling.BICUBIC)
    face = regions["face"]
    large = Regions("face", face.boxes * 8, face.image_index, (1440, 1920), 1, keypoints=face.keypoints * 8)
    asked = []

    def decode(shrink: float) -> Decoded:
        asked.append(shrink)
        return Decoded(big.resize((960, 720), Image.Resampling.BOX), 2)

    framing = Framing(180, Augment(crop="center", flip=0.0))
    small, moved = framing((1440, 1920), decode, {"face": large}, random.Random(0))
    assert asked == [4.0]
    full, _ = framing((1440, 1920), lambda shrink: Decoded(big), {"face": large}, random.Random(0))
    assert np.abs(np.asarray(small, float) - np.asarray(full, float)).mean() < 1.0
    check(small, moved["face"], 0.3)


def test_the_middle_and_the_window_of_a_square():
    assert central_window((100, 40)) == (30, 0, 40, 40)
    assert central_window((40, 101)) == (0, 30, 40, 40)
    assert central_window((7, 7)) == (0, 0, 7, 7)


@pytest.mark.parametrize(
    "options",
    [{"flip": 1.5}, {"area": (0.5, 0.2)}, {"area": (0.0, 1.0)}, {"stretch": 0.5}, {"crop": "any"}, {"scale": (0, 1)}],
)
def test_options_that_make_no_sense(options: dict[str, object]):
    with pytest.raises(InputError, match=r"augment\."):
        Augment(**options)


def test_a_region_outside_the_window_is_gone_and_one_at_its_border_is_not_clipped():
    boxes = torch.tensor([[10.0, 10.0, 50.0, 30.0], [200.0, 100.0, 220.0, 120.0]])
    regions = {"text": Regions("text", boxes, torch.zeros(2).long(), SIZE, 1, texts=("in", "out"))}
    _, moved = cropped(Image.new("RGB", SIZE[::-1]), regions, (0, 20, 100, 100), (50, 50))
    assert moved["text"].texts == ("in",)
    assert moved["text"].boxes.tolist() == [[-5.0, 5.0, 15.0, 15.0]]


def test_windows_lie_in_the_image_and_cover_the_share_asked_for():
    rng = random.Random(0)
    for _ in range(300):
        size = rng.randint(1, 300), rng.randint(1, 300)
        top, left, height, width = random_window(size, rng, (0.2, 0.5), stretch=1.0)
        assert 0 <= top <= size[0] - height
        assert 0 <= left <= size[1] - width
        assert height == width
        if min(size) >= 50:
            assert 0.18 <= height * width / min(size) ** 2 <= 0.53


def test_a_window_around_a_box_shows_all_of_it_where_the_image_allows():
    rng = random.Random(1)
    for _ in range(300):
        x, y, side = rng.randint(0, 150), rng.randint(0, 100), rng.randint(5, 60)
        top, left, height, width = window_around((x, y, x + side, y + side), SIZE, rng, (1.2, 2.5))
        assert height == width
        assert 0 <= top <= SIZE[0] - height
        assert 0 <= left <= SIZE[1] - width
        assert left <= x
        assert top <= y
        assert x + side <= left + width + 1
        assert y + side <= top + height + 1


def test_offsets_stay_within_their_limits():
    rng = random.Random(2)
    drawn = [between(rng, 8.0, -4.0, 5) for _ in range(200)]
    assert set(drawn) == {0, 1, 2, 3, 4, 5}


def test_jitter_maps_each_colour_to_one_other_and_moves_nothing():
    image, _ = marked(random.Random(3))
    before = np.asarray(image).reshape(-1, 3)
    after = np.asarray(jittered(image, random.Random(4), 0.3)).reshape(-1, 3)
    assert not np.array_equal(before, after)
    for colour in np.unique(before, axis=0):
        assert len(np.unique(after[(before == colour).all(1)], axis=0)) == 1

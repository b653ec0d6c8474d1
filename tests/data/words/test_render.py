"""Rendered words: boxes are compared with the pixels that changed, colours with the contrast asked for."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageFont

from insighttok_ref.data.fonts import fonts, words
from regionloss.data.words.render import TextRenderer, TextStyle, ink
from regionloss.errors import InputError


@pytest.fixture(scope="module")
def font() -> str:
    return str(next(path for path in fonts() if path.name == "DejaVuSans-Bold.ttf"))


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")).astype(int)


@pytest.mark.parametrize("paragraphs", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_boxes_hold_the_ink_and_the_padding_and_nothing_else(seed: int, paragraphs: float):
    style = TextStyle(plates=0.0, padding=2, words=(2, 5), paragraphs=paragraphs)
    ground = Image.new("RGB", (120, 90), (20, 20, 20))
    image, regions = TextRenderer(fonts(), words(), style)(ground, random.Random(seed))
    changed = (np.asarray(image) != 20).any(2)
    assert len(regions) >= 1
    for x1, y1, x2, y2 in regions.boxes.int().tolist():
        ys, xs = np.nonzero(changed[y1:y2, x1:x2])
        assert (xs.min(), ys.min(), xs.max(), ys.max()) == (2, 2, x2 - x1 - 3, y2 - y1 - 3)
        changed[y1:y2, x1:x2] = False
    assert not changed.any()


@pytest.mark.parametrize("paragraphs", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_words_do_not_overlap_and_lie_in_the_image(seed: int, paragraphs: float):
    style = TextStyle(words=(6, 6), gap=3, font_sizes=(8, 14), paragraphs=paragraphs)
    _, regions = TextRenderer(fonts(), words(), style)(Image.new("RGB", (100, 80)), random.Random(seed))
    boxes = regions.boxes.tolist()
    assert regions.boxes.min() >= 0
    assert regions.boxes[:, 2].max() <= 100
    assert regions.boxes[:, 3].max() <= 80
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
            assert apart >= 3


@pytest.mark.parametrize("seed", range(10))
def test_words_of_a_paragraph_stand_on_lines_as_the_font_sets_them(seed: int, font: str):
    """Against PIL's own layout of each word on the line's baseline; the transcription reads in order."""
    style = TextStyle(font_sizes=(12, 18), paragraphs=1.0, lines=(3, 3), plates=0.0, cases=(1, 0, 0), digits=0.0)
    image, regions = TextRenderer([font], ["gap", "over", "tall"], style)(
        Image.new("RGB", (200, 160), "white"), random.Random(seed)
    )
    assert regions.texts is not None
    tops = regions.boxes[:, 1]
    starts = [0, *(i for i in range(1, len(tops)) if regions.boxes[i, 0] <= regions.boxes[i - 1, 0])]
    assert len(starts) == 3
    baselines = []
    for i, (text, box) in enumerate(zip(regions.texts, regions.boxes.tolist(), strict=True)):
        sizes = [s for s in range(12, 19) if ink(font, s, text).size == (box[2] - box[0] - 2, box[3] - box[1] - 2)]
        assert sizes, text
        top = ImageFont.truetype(font, sizes[0]).getbbox(text, anchor="ls")[1]
        baselines.append((sum(start <= i for start in starts), box[1] + 1 - top))
    for line in (1, 2, 3):
        found = [baseline for number, baseline in baselines if number == line]
        assert max(found) - min(found) <= 1
    assert np.asarray(image).min() < 60


@pytest.mark.parametrize("seed", range(10))
def test_ink_stands_out_from_any_ground(seed: int, font: str):
    """Over noise of every brightness a plate is laid; the darkest and brightest pixels differ as asked."""
    noise = np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8)
    style = TextStyle(plates=0.0, contrast=120.0, words=(1, 1), font_sizes=(14, 20))
    image, regions = TextRenderer([font], ["Harbour"], style)(Image.fromarray(noise), random.Random(seed))
    x1, y1, x2, y2 = regions.boxes[0].int().tolist()
    patch = grey(image)[y1:y2, x1:x2]
    border = np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]])
    assert border.std() == 0.0
    assert np.abs(patch - border[0]).max() >= 119


@pytest.mark.parametrize("shade", [0, 60, 128, 200, 255])
def test_ink_stands_out_from_a_plain_ground_without_a_plate(shade: int, font: str):
    style = TextStyle(plates=0.0, contrast=110.0, words=(1, 1), font_sizes=(16, 20))
    ground = Image.new("RGB", (96, 64), (shade,) * 3)
    image, regions = TextRenderer([font], ["Harbour"], style)(ground, random.Random(1))
    x1, y1, x2, y2 = regions.boxes[0].int().tolist()
    patch = grey(image)[y1:y2, x1:x2]
    assert patch[0, 0] == shade
    assert np.abs(patch - shade).max() >= 109


def test_ink_is_anti_aliased_and_as_large_as_the_font_s_outlines(font: str):
    mask, large = ink(font, 20, "Sg"), ImageFont.truetype(font, 320).getmask("Sg", "1")
    left, top, right, bottom = large.getbbox()
    assert mask.width == pytest.approx((right - left) / 16, abs=1.5)
    assert mask.height == pytest.approx((bottom - top) / 16, abs=1.5)
    levels = np.unique(np.asarray(mask))
    assert levels[-1] == 255
    assert len(levels) > 20


def test_a_long_word_is_written_smaller_or_left_out():
    style = TextStyle(font_sizes=(8, 30), words=(1, 1), digits=0.0)
    renderer = TextRenderer(fonts(), ["wheelbarrow"], style)
    found = [renderer(Image.new("RGB", (64, 64)), random.Random(seed))[1] for seed in range(30)]
    assert sum(len(regions) for regions in found) >= 25
    narrow = TextRenderer(fonts(), ["wheelbarrow"], TextStyle(font_sizes=(20, 30), digits=0.0))
    image, regions = narrow(Image.new("RGB", (40, 64), (7, 7, 7)), random.Random(0))
    assert len(regions) == 0
    assert np.all(np.asarray(image) == 7)


def test_the_same_numbers_draw_the_same_picture_and_the_ground_is_left_alone():
    renderer, ground = TextRenderer(fonts(), words()), Image.new("RGB", (64, 64), (90, 120, 60))
    first, second = (renderer(ground, random.Random(5)) for _ in range(2))
    assert np.array_equal(np.asarray(first[0]), np.asarray(second[0]))
    assert first[1].texts == second[1].texts
    assert np.all(np.asarray(ground) == (90, 120, 60))


@pytest.mark.parametrize(
    ("paragraphs", "recorded"),
    [(0.0, ["struggle HAMSTER shallow", "cake Absurd", "RHYTHM"]), (1.0, ["elder", "hidden Absurd", "Hole"])],
)
def test_a_seed_draws_the_words_that_it_always_drew(paragraphs: float, recorded: list[str]):
    """Recorded before fonts were asked for their letters."""
    renderer = TextRenderer(fonts(), words(), TextStyle(font_sizes=(12, 24), paragraphs=paragraphs))
    ground = Image.new("RGB", (128, 64))
    assert [" ".join(renderer(ground, random.Random(seed))[1].texts or ()) for seed in range(3)] == recorded


def test_cases_and_digits_come_in_their_shares():
    renderer = TextRenderer(fonts(), ["harbour"], TextStyle(cases=(0.5, 0.25, 0.25), digits=0.2))
    rng = random.Random(0)
    drawn = [renderer.spelling(rng) for _ in range(4000)]
    share = {text: drawn.count(text) / 4000 for text in ("harbour", "Harbour", "HARBOUR")}
    assert share == pytest.approx({"harbour": 0.4, "Harbour": 0.2, "HARBOUR": 0.2}, abs=0.03)
    assert sum(text.isdigit() for text in drawn) / 4000 == pytest.approx(0.2, abs=0.03)


def test_a_renderer_needs_fonts_and_words():
    with pytest.raises(InputError, match="fonts and words"):
        TextRenderer([], ["word"])
    with pytest.raises(InputError, match="fonts and words"):
        TextRenderer(fonts(), [])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"font_sizes": (20, 9)}, "text style: font_sizes: expected smallest and largest, 4 at least, got 20 and 9."),
        ({"words": (3, 1)}, "text style: words: expected smallest and largest, 0 at least, got 3 and 1."),
        ({"digits": 1.5}, "text style: digits: expected a share from 0 to 1, got 1.5."),
        ({"contrast": 200.0}, "text style: contrast: expected 0 to 127"),
        ({"cases": (0.0, 0.0, 0.0)}, "text style: cases: expected shares above 0"),
        ({"padding": -1}, "text style: padding, gap: expected 0 or more, got -1, 2."),
    ],
)
def test_a_style_that_cannot_be_drawn_is_refused_with_a_sentence(options: dict[str, object], sentence: str):
    with pytest.raises(InputError) as caught:
        TextStyle(**options)
    assert str(caught.value).startswith(sentence)

"""Which fonts draw which words: against the fonts' own tables, read by fontTools, and fonts made for the purpose."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from PIL import Image

from insighttok_ref.data.fonts import fonts, words
from regionloss.data.words.glyphs import drawable, stands_alone
from regionloss.data.words.render import TextRenderer, TextStyle
from regionloss.errors import InputError

BLANK = "~"


def block_font(
    path: Path, letters: str, *, top: int = 700, bottom: int = 0, lines: tuple[int, int] = (800, 200)
) -> Path:
    """Write a font of black blocks, each letter's of another width; `.notdef` is one too, and `BLANK` has no ink."""
    names = [".notdef", *(f"u{ord(letter):x}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    glyphs = {}
    for number, (name, letter) in enumerate(zip(names, " " + letters, strict=True)):
        pen, right = TTGlyphPen(None), 300 + 20 * number
        if letter != BLANK:
            for move, point in enumerate([(50, bottom), (50, top), (right, top), (right, bottom)]):
                (pen.lineTo if move else pen.moveTo)(point)
            pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 50)))
    builder.setupHorizontalHeader(ascent=lines[0], descent=-lines[1])
    builder.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def drawn(renderer: TextRenderer, images: int = 60) -> set[str]:
    found = set()
    for seed in range(images):
        _, regions = renderer(Image.new("RGB", (160, 120)), random.Random(seed))
        found |= set(regions.texts or ())
    return found


@pytest.mark.parametrize("path", fonts(), ids=lambda path: path.stem)
def test_characters_of_a_font_are_those_of_its_character_map(path: Path) -> None:
    asked = {chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x391, 0x460), 0x65E5, 0x1F600)}
    asked = {character for character in asked if stands_alone(character)}
    with TTFont(path) as font:
        mapped = {chr(code) for code in font.getBestCmap()}
    assert drawable(str(path), asked) == asked & mapped


def test_packaged_fonts_draw_all_packaged_words_and_nothing_is_left_out() -> None:
    renderer = TextRenderer(fonts(), words())
    assert renderer.fonts == [str(path) for path in fonts()]
    assert list(renderer.words) == words()
    assert renderer.notes == ()


@pytest.mark.parametrize("paragraphs", [0.0, 1.0])
def test_a_font_draws_only_words_that_it_has(tmp_path: Path, paragraphs: float) -> None:
    """Fonts of disjoint letters; each word's ink is compared with that of the font that has it."""
    first, second = block_font(tmp_path / "a.ttf", "abAB"), block_font(tmp_path / "c.ttf", "cdCD" + BLANK)
    style = TextStyle(paragraphs=paragraphs, font_sizes=(9, 11), plates=0.0)
    renderer = TextRenderer([first, second], ["ab", "cd", "ad", "c~", "ba"], style)
    assert {text.lower() for text in drawn(renderer)} == {"ab", "ba", "cd"}
    assert {Path(font).name: list(has) for font, has in renderer.lexicon.words_of.items()} == {
        "a.ttf": ["ab", "ba"],
        "c.ttf": ["cd"],
    }
    assert renderer.notes == (
        "words: 2 of 5 are left out: no font has all their letters ('ad', 'c~').",
        "numbers: none are drawn: no font has all digits.",
    )


def test_the_letters_of_every_case_that_is_drawn_count(tmp_path: Path) -> None:
    font = block_font(tmp_path / "a.ttf", "abs")
    with pytest.raises(InputError, match=r"words: 1 of 1 are left out: no font has all their letters \('ab'\)"):
        TextRenderer([font], ["ab"])
    assert drawn(TextRenderer([font], ["ab"], TextStyle(cases=(1, 0, 0)))) == {"ab"}
    german = TextRenderer(fonts(), ["aß"], TextStyle(cases=(0, 0, 1), digits=0.0))
    assert drawn(german) == {"ASS"}


def test_fonts_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    broken, other = tmp_path / "broken.ttf", block_font(tmp_path / "signs.ttf", "+-")
    broken.write_bytes(b"\0\1\0\0 and nothing else")
    renderer = TextRenderer([broken, other, *fonts()], words())
    assert renderer.fonts == [str(path) for path in fonts()]
    assert renderer.notes == (
        "fonts: 1 of 23 are left out: they cannot be read and scaled ('broken.ttf').",
        "fonts: 1 of 23 are left out: they have none of the words ('signs.ttf').",
    )


@pytest.mark.parametrize("word", ["سلام", "שלום", "नमस्ते", "ᠮᠣᠩ", "a\u200bb", "q\u0307", "two words", ""])
def test_words_that_need_shaping_are_left_out_and_said(word: str) -> None:
    renderer = TextRenderer(fonts(), ["harbour", word])
    assert list(renderer.words) == ["harbour"]
    assert renderer.notes[0].startswith("words: 1 of 2 are left out: they have blanks, or letters that join")
    with pytest.raises(InputError, match="words: expected some that a font has the characters of, got none of 1"):
        TextRenderer(fonts(), [word])


def test_accents_that_fit_into_letters_are_put_there() -> None:
    renderer = TextRenderer(fonts(), ["e\u0301tude"], TextStyle(cases=(1, 0, 0), digits=0.0))
    assert drawn(renderer, 5) == {"étude"}


@pytest.mark.parametrize("seed", range(20))
def test_ink_beyond_the_lines_that_a_font_states_neither_overlaps_nor_leaves_the_image(
    tmp_path: Path, seed: int
) -> None:
    font = block_font(tmp_path / "tall.ttf", "ab", top=1100, bottom=-500, lines=(400, 50))
    style = TextStyle(font_sizes=(10, 16), paragraphs=1.0, lines=(3, 9), plates=0.0, cases=(1, 0, 0))
    image, regions = TextRenderer([font], ["ab", "ba"], style)(Image.new("RGB", (120, 90)), random.Random(seed))
    boxes = regions.boxes.int().tolist()
    assert len(boxes) >= 2
    inked = np.asarray(image).any(2)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        assert min(x1, y1) >= 0
        assert x2 <= 120
        assert y2 <= 90
        assert all(max(x1 - b[2], b[0] - x2, y1 - b[3], b[1] - y2) >= style.gap for b in boxes[:i])
        inked[y1:y2, x1:x2] = False
    assert not inked.any()

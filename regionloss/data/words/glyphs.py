"""What fonts can draw: which of the words each of them has the glyphs for, so that transcriptions are true."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from regionloss.errors import InputError, expected

DIGITS = "0123456789"
# A noncharacter: no font has it, so what is drawn for it is the font's sign for a missing glyph.
MISSING = "\U0010ffff"
# Scripts whose letters change with their neighbours though Unicode writes them from left to right.
JOINED = ("MONGOLIAN ", "PHAGS-PA ", "HANGUL CHOSEONG ", "HANGUL JUNGSEONG ", "HANGUL JONGSEONG ")
UNSHAPED = "they have blanks, or letters that join, combine or run from right to left"
LOOK = 24


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words, and the fonts that have them.

    Args:
        words: All that one font at least has, as they were given.
        words_of: Words that a font can draw, by font file; fonts that can draw none are left out.
        lacking: Characters of the words that a font lacks, by font file.
        notes: Sentences for the user: words and fonts that are left out.
    """

    words: Sequence[str]
    words_of: dict[str, Sequence[str]]
    lacking: dict[str, frozenset[str]]
    notes: tuple[str, ...] = ()

    def fonts(self, text: str) -> list[str]:
        """Return the font files that have all characters of a text, in the order given."""
        return [font for font in self.words_of if self.lacking[font].isdisjoint(text)]


def build_lexicon(
    fonts: Sequence[str], words: Sequence[str], changes: Sequence[Callable[[str], str]], numbers: bool
) -> Lexicon:
    """Find out which words each font can draw.

    Args:
        fonts: Paths of the font files.
        words: Words before any change.
        changes: What may be done to a word before it is drawn, say `str.upper`.
        numbers: Whether numbers are drawn, too.

    Raises:
        InputError: No font can draw any word.
    """
    spelt = [(word, "".join(change(word) for change in changes)) for word in map(composed, words)]
    simple = [(word, letters) for word, letters in spelt if letters and all(map(stands_alone, letters))]
    alphabet = set(DIGITS).union(*(letters for _, letters in simple))
    found = {font: drawable(font, alphabet) for font in fonts}
    lacking = {font: frozenset(alphabet - has) for font, has in found.items() if has is not None}
    kept = {lacks: [word for word, letters in simple if lacks.isdisjoint(letters)] for lacks in set(lacking.values())}
    words_of: dict[str, Sequence[str]] = {font: kept[lacks] for font, lacks in lacking.items() if kept[lacks]}
    known, drawn = {word for word, _ in simple}, set[str]().union(*kept.values())
    notes = [
        *left_out("words", [word for word, _ in spelt if word not in known], words, UNSHAPED),
        *left_out("words", [word for word, _ in simple if word not in drawn], words, "no font has all their letters"),
        *left_out("fonts", [font for font in fonts if font not in lacking], fonts, "they cannot be read and scaled"),
        *left_out("fonts", [font for font in lacking if font not in words_of], fonts, "they have none of the words"),
    ]
    if not words_of:
        got = f"none of {len(words)} with {len(fonts)} fonts"
        raise InputError(expected("words", "some that a font has the characters of", got, " ".join(notes)))
    if numbers and not any(lacking[font].isdisjoint(DIGITS) for font in words_of):
        notes.append("numbers: none are drawn: no font has all digits.")
    return Lexicon([word for word, _ in simple if word in drawn], words_of, lacking, tuple(notes))


def left_out(what: str, left: Sequence[str], given: Sequence[str], why: str) -> list[str]:
    """Return a sentence about what is left out; none where nothing is."""
    if not left:
        return []
    shown = ", ".join(f"'{Path(name).name}'" for name in left[:3]) + (", ..." if len(left) > 3 else "")
    return [f"{what}: {len(left)} of {len(given)} are left out: {why} ({shown})."]


def composed(word: str) -> str:
    """Return a word with its accents in its letters, where Unicode has such letters."""
    return unicodedata.normalize("NFC", word)


@cache
def stands_alone(character: str) -> bool:
    """Whether a character is drawn by itself, to the right of the one before: what needs no shaping engine."""
    return (
        unicodedata.category(character)[0] in "LNPS"
        and unicodedata.bidirectional(character) not in ("R", "AL", "AN")
        and not unicodedata.name(character, "").startswith(JOINED)
    )


def drawable(path: str, characters: set[str]) -> set[str] | None:
    """Return the characters that a font has glyphs with ink for; None where the font cannot be used."""
    try:
        font = load_font(path, LOOK)
        missing = look(font, MISSING)
        return {character for character in characters if (seen := look(font, character)) != missing and any(seen[1])}
    except OSError:
        return None


def look(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[float, ...], bytes]:
    """Return where a character's glyph lies, and its coverage."""
    return font.getbbox(character), bytes(font.getmask(character))


@lru_cache(maxsize=512)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font. The basic layout is the one that every build of PIL has."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def ink(path: str, size: int, text: str) -> Image.Image:
    """Return the anti-aliased coverage of a word, cut to the pixels that it touches."""
    font = load_font(path, size)
    left, top, right, bottom = font.getbbox(text)
    mask = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, 255, font)
    return mask.crop(mask.getbbox())

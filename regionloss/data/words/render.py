"""Words over pictures, with exact boxes and transcriptions: annotated text images without a detector."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regionloss.data.words.glyphs import DIGITS, build_lexicon, ink
from regionloss.data.words.paragraphs import Box, set_block
from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions

Colour = tuple[int, int, int]

# Rec. 601 luma, as PIL's conversion to grey uses it.
LUMA = (0.299, 0.587, 0.114)
CASES = (str.lower, str.capitalize, str.upper)
TRIES = 16


@dataclass(frozen=True)
class TextStyle:
    """How words are drawn.

    Args:
        font_sizes: Smallest and largest font size, pixels (capitals are about 0.7 of it); drawn log-uniformly.
        words: Fewest and most words in an image. Fewer where no room is left.
        padding: Pixels between the ink and the box on each side.
        gap: Least distance of two words' boxes, pixels.
        contrast: Least difference in luma (0 to 255) between the ink and what lies behind it, the brightest and
            darkest twentieth left out. Where the picture allows no ink, a plate is laid under the word. A paragraph
            is looked at as a whole.
        colourful: Share of words in free colours; the others are nearly black or white.
        plates: Share of words that get a plate in any case.
        cases: Shares of lower, capitalised and upper case words.
        digits: Share of words that are numbers instead.
        paragraphs: Share of images that show a paragraph, lines of words in one font and colour, instead of words.
        lines: Fewest and most lines of a paragraph. Fewer where no room is left.

    Raises:
        InputError: A range the wrong way round, a share outside [0, 1], or a contrast that no ink can have.
    """

    font_sizes: tuple[int, int] = (9, 20)
    words: tuple[int, int] = (1, 4)
    padding: int = 1
    gap: int = 2
    contrast: float = 110.0
    colourful: float = 0.25
    plates: float = 0.2
    cases: tuple[float, float, float] = (0.5, 0.3, 0.2)
    digits: float = 0.08
    paragraphs: float = 0.0
    lines: tuple[int, int] = (2, 6)

    def __post_init__(self) -> None:
        for name, least in (("font_sizes", 4), ("words", 0), ("lines", 1)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                wanted = f"smallest and largest, {least} at least"
                raise InputError(expected(f"text style: {name}", wanted, f"{low} and {high}"))
        for name in ("colourful", "plates", "digits", "paragraphs"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(expected(f"text style: {name}", "a share from 0 to 1", str(getattr(self, name))))
        if not 0 <= self.contrast <= 127:
            wanted = "0 to 127 (on middle grey neither black nor white differs by more)"
            raise InputError(expected("text style: contrast", wanted, str(self.contrast)))
        if min(self.cases) < 0 or sum(self.cases) <= 0:
            raise InputError(expected("text style: cases", "shares above 0", str(self.cases)))
        if self.padding < 0 or self.gap < 0:
            raise InputError(expected("text style: padding, gap", "0 or more", f"{self.padding}, {self.gap}"))


class TextRenderer:
    """Draws words on a picture.

    A font draws only words that it has the glyphs for. Letters are set side by side, from left to right: words whose
    characters join, combine or run the other way are left out. `notes` says what is, in sentences.

    Args:
        fonts: Font files (TrueType or OpenType).
        words: Words to choose from.
        style: Sizes, colours and contrast of the words.

    Raises:
        InputError: No fonts, no words, or no font that has any of the words.

    Example:
        >>> import random
        >>> from insighttok_ref.data.fonts import fonts
        >>> image, text = TextRenderer(fonts(), ["hello"])(Image.new("RGB", (64, 64)), random.Random(0))
        >>> text.texts is not None and len(text.texts) == len(text)
        True
    """

    def __init__(self, fonts: Sequence[Path], words: Sequence[str], style: TextStyle | None = None) -> None:
        if not fonts or not words:
            raise InputError(expected("TextRenderer", "fonts and words", f"{len(fonts)} and {len(words)}"))
        self.style = style or TextStyle()
        changes = [change for change, share in zip(CASES, self.style.cases, strict=True) if share]
        self.lexicon = build_lexicon([str(font) for font in fonts], words, changes, self.style.digits > 0)
        self.fonts, self.words = list(self.lexicon.words_of), self.lexicon.words
        self.numerals = frozenset(self.lexicon.fonts(DIGITS))
        self.notes = self.lexicon.notes

    def __call__(self, ground: Image.Image, rng: random.Random) -> tuple[Image.Image, Regions]:
        """Return the picture with words on it, and where they stand.

        Args:
            ground: RGB picture; left as it is.
            rng: Source of random numbers; what is drawn is a function of its state and the picture.

        Returns:
            The image, and regions of kind `"text"` with transcriptions; boxes hold all ink plus the padding.
        """
        image = ground.copy()
        boxes: list[Box] = []
        texts: list[str] = []
        # Nothing is drawn from the stream where there are no paragraphs: images of earlier seeds stay what they were.
        if self.style.paragraphs and rng.random() < self.style.paragraphs:
            boxes, texts = self.paragraph(image, rng)
        for _ in range(0 if texts else rng.randint(*self.style.words)):
            text, mask = self.word(image.width, rng)
            box = self.place(image.size, mask, boxes, rng) if mask else None
            if box and mask:
                colour = self.ground(image, box, rng)
                image.paste(colour, (box[0] + self.style.padding, box[1] + self.style.padding), mask)
                boxes.append(box)
                texts.append(text)
        return image, text_regions(boxes, texts, image.size)

    def word(self, width: int, rng: random.Random) -> tuple[str, Image.Image | None]:
        """Return a word and its ink (8-bit coverage, cut to the ink), or None where none tried fits the width."""
        low, high = self.style.font_sizes
        for _ in range(TRIES):
            text = self.spelling(rng)
            size = round(low * (high / low) ** rng.random())
            font = rng.choice(self.lexicon.fonts(text))
            mask = ink(font, size, text)
            room = width - 2 * self.style.padding
            if mask.width > room and (smaller := int(size * room / mask.width)) >= low:
                mask = ink(font, smaller, text)
            if mask.width <= room:
                return text, mask
        return "", None

    def spelling(self, rng: random.Random, font: str | None = None) -> str:
        """Return a word as it will be written: one that the font has, or, without one, any font."""
        numerals = self.numerals if font is None else self.numerals & {font}
        if rng.random() < self.style.digits and numerals:
            return str(rng.randint(10, 9999))
        word = rng.choice(self.words if font is None else self.lexicon.words_of[font])
        change = rng.choices(CASES, self.style.cases)[0]
        return change(word)

    def place(self, size: tuple[int, int], mask: Image.Image, taken: list[Box], rng: random.Random) -> Box | None:
        """Return a free box for a word, or None where none was found."""
        width, height = (side + 2 * self.style.padding for side in mask.size)
        if width > size[0] or height > size[1]:
            return None
        gap = self.style.gap
        for _ in range(TRIES):
            x, y = rng.randint(0, size[0] - width), rng.randint(0, size[1] - height)
            box = (x, y, x + width, y + height)
            if all(x >= t[2] + gap or box[2] + gap <= t[0] or y >= t[3] + gap or box[3] + gap <= t[1] for t in taken):
                return box
        return None

    def paragraph(self, image: Image.Image, rng: random.Random) -> tuple[list[Box], list[str]]:
        """Draw a paragraph somewhere, and return the boxes and texts of its words; none where none fits."""
        low, high = self.style.font_sizes
        size, font = round(low * (high / low) ** rng.random()), rng.choice(self.fonts)
        width, lines = round(image.width * rng.uniform(0.5, 1.0)), rng.randint(*self.style.lines)
        padding, gap = self.style.padding, self.style.gap
        spell = partial(self.spelling, font=font)
        block = set_block(font, size, spell, lines, width, image.height, rng, padding, gap)
        if block is None:
            return [], []
        left, top = rng.randint(0, image.width - block.width), rng.randint(0, image.height - block.height)
        colour = self.ground(image, (left, top, left + block.width, top + block.height), rng)
        for word in block.words:
            image.paste(colour, (left + word.x, top + word.y), word.mask)
        return [word.box(left, top, padding) for word in block.words], [word.text for word in block.words]

    def ground(self, image: Image.Image, box: Box, rng: random.Random) -> Colour:
        """Return a colour that stands out in a box, having laid a plate there where none would."""
        colourful = rng.random() < self.style.colourful
        plate = rng.random() < self.style.plates
        shades = luma_range(image.crop(box))
        if plate or not stands_out(shades, self.style.contrast):
            colour = any_colour(rng, colourful)
            image.paste(colour, box)
            shades = (luma(colour), luma(colour))
        return ink_colour(shades, self.style.contrast, rng, colourful)


def luma(colour: Colour) -> float:
    """Return the luma of a colour, 0 to 255."""
    return sum(weight * value for weight, value in zip(LUMA, colour, strict=True))


def luma_range(patch: Image.Image) -> tuple[float, float]:
    """Return the luma of a patch's darkest and brightest pixels, a twentieth left out at each end."""
    values = np.sort(np.asarray(patch.convert("L")), axis=None)
    cut = len(values) // 20
    return float(values[cut]), float(values[-1 - cut])


def stands_out(shades: tuple[float, float], contrast: float) -> bool:
    """Whether black or white would differ from all these shades by the contrast."""
    return shades[0] >= contrast or shades[1] <= 255 - contrast


def ink_colour(shades: tuple[float, float], contrast: float, rng: random.Random, colourful: bool) -> Colour:
    """Return a colour whose luma differs from all these shades by the contrast."""
    darkest, brightest = shades
    sides = [side for side, fits in (("dark", darkest >= contrast), ("bright", brightest <= 255 - contrast)) if fits]
    side = rng.choice(sides)
    for _ in range(TRIES):
        colour = any_colour(rng, colourful)
        if luma(colour) <= darkest - contrast if side == "dark" else luma(colour) >= brightest + contrast:
            return colour
    return (0, 0, 0) if side == "dark" else (255, 255, 255)


def any_colour(rng: random.Random, colourful: bool) -> Colour:
    """Return any colour, or one that is nearly black or white."""
    if colourful:
        return rng.randrange(256), rng.randrange(256), rng.randrange(256)
    shade = rng.choice((rng.randrange(32), 255 - rng.randrange(32)))
    return shade, shade, shade


def text_regions(boxes: Sequence[Box], texts: Sequence[str], size: tuple[int, int]) -> Regions:
    """Return boxes and transcriptions of one image of `size` (width, height)."""
    return Regions(
        "text",
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.zeros(len(boxes), dtype=torch.int64),
        (size[1], size[0]),
        1,
        scores=torch.ones(len(boxes)),
        texts=tuple(texts),
    )

"""Lines of words set as a block, in one font and colour, each word with its exact box."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFont

from regionloss.data.words.glyphs import ink, load_font

Box = tuple[int, int, int, int]
Spell = Callable[[random.Random], str]


@dataclass(frozen=True)
class SetWord:
    """A word of a block: its text, its ink, and where the ink's upper left corner stands in the block."""

    text: str
    mask: Image.Image
    x: int
    y: int

    def box(self, left: int, top: int, padding: int) -> Box:
        """Return the box of the ink and its padding, for a block that stands at (left, top)."""
        x, y = left + self.x, top + self.y
        return x - padding, y - padding, x + self.mask.width + padding, y + self.mask.height + padding


@dataclass(frozen=True)
class WordBlock:
    """Words that were set, and the size that holds all of their boxes."""

    words: tuple[SetWord, ...]
    width: int
    height: int


def set_block(
    path: str,
    size: int,
    spell: Spell,
    lines: int,
    width: int,
    height: int,
    rng: random.Random,
    padding: int = 1,
    gap: int = 2,
) -> WordBlock | None:
    """Set a block of words, or None where not even one fits.

    Args:
        path: Path of the font file.
        size: Font size, pixels.
        spell: Called to get the next word.
        lines: Largest number of lines.
        width: Most pixels from the left edge to the right one.
        height: Most pixels from top to bottom.
        rng: Source of random numbers for words, line spacing and alignment.
        padding: Pixels between the ink of a word and its box.
        gap: Least distance of two boxes, pixels.
    """
    font = load_font(path, size)
    space = max(round(font.getlength(" ")), 2 * padding + gap)
    ascent, descent = font.getmetrics()
    spread = rng.uniform(1.0, 1.3)
    share = rng.choice((0.0, 0.0, 0.5, 1.0))  # where the free room of a line goes: left-aligned text is most common
    room = width - 2 * padding, height - 2 * padding
    _, most = line_pitch(ascent + descent, room[1], spread, 2 * padding + gap)
    rows = [row for _ in range(min(lines, most)) if (row := set_line(path, font, spell, room[0], space, rng))]
    # The ink of some fonts reaches beyond the lines that they state.
    ascent = max([ascent, *(-rise for row in rows for _, _, _, rise in row)])
    descent = max([descent, *(mask.height + rise for row in rows for _, _, mask, rise in row)])
    pitch, most = line_pitch(ascent + descent, room[1], spread, 2 * padding + gap)
    if not (rows := rows[:most]):
        return None
    longest = max(row[-1][1] + row[-1][2].width for row in rows)
    words = []
    for number, row in enumerate(rows):
        shift = padding + round(share * (longest - row[-1][1] - row[-1][2].width))
        for text, x, mask, rise in row:
            words.append(SetWord(text, mask, x + shift, padding + number * pitch + ascent + rise))
    deepest = max(word.y + word.mask.height for word in words)
    return WordBlock(tuple(words), longest + 2 * padding, deepest + padding)


def line_pitch(line: int, room: int, spread: float, gap: int) -> tuple[int, int]:
    """Return the distance of two lines, and how many fit, for the height of a line and of the room, pixels."""
    pitch = max(round(line * spread), line + gap)
    return pitch, max(0, (room - line) // pitch + 1)


def set_line(
    path: str, font: ImageFont.FreeTypeFont, spell: Spell, width: int, space: int, rng: random.Random
) -> list[tuple[str, int, Image.Image, int]]:
    """Return the words of a line: text, left edge of the ink, ink, and top of the ink above the baseline (negative)."""
    row: list[tuple[str, int, Image.Image, int]] = []
    x = 0
    while True:
        text = spell(rng)
        mask = ink(path, int(font.size), text)
        if x + mask.width > width:
            return row
        row.append((text, x, mask, int(font.getbbox(text, anchor="ls")[1])))
        x += mask.width + space

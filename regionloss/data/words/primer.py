"""The plainest images of words: what a generator learns to write first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from regionloss.data.words.glyphs import ink, load_font
from regionloss.data.words.render import TRIES, TextRenderer, TextStyle, text_regions
from regionloss.regions.regions import Regions


class PrimerRenderer(TextRenderer):
    """Draws one word in lower case, black on white, in the middle of the image, all words on the same line.

    Args:
        fonts: Font files (TrueType or OpenType).
        words: Words to choose from; what is wider than the image is left out.
        font_sizes: Smallest and largest font size, pixels.

    Raises:
        InputError: No fonts, no words, or no font that has any of the words.
    """

    def __init__(self, fonts: Sequence[Path], words: Sequence[str], font_sizes: tuple[int, int]) -> None:
        style = TextStyle(font_sizes=font_sizes, words=(1, 1), cases=(1, 0, 0), digits=0.0, colourful=0.0, plates=0.0)
        super().__init__(fonts, words, style)

    def __call__(self, ground: Image.Image, rng: random.Random) -> tuple[Image.Image, Regions]:
        """Return a white image of the picture's size with a word on it, and where the word stands."""
        image, padding = Image.new("RGB", ground.size, "white"), self.style.padding
        for _ in range(TRIES):
            text, size = self.spelling(rng), rng.randint(*self.style.font_sizes)
            path = rng.choice(self.lexicon.fonts(text))
            if ink(path, size, text).width <= image.width - 2 * padding:
                mask = in_the_middle(path, size, text, image.size)
                image.paste("black", mask=mask)
                x1, y1, x2, y2 = mask.getbbox() or (0, 0, *image.size)
                box = (x1 - padding, y1 - padding, x2 + padding, y2 + padding)
                return image, text_regions([box], [text], image.size)
        return image, text_regions([], [], image.size)


def in_the_middle(path: str, size: int, text: str, image: tuple[int, int]) -> Image.Image:
    """Return the ink of a word in the middle of an image (width, height), small letters at half its height."""
    font, mask = load_font(path, size), Image.new("L", image)
    left = (image[0] - round(font.getlength(text))) // 2
    line = (image[1] - round(font.getbbox("x", anchor="ls")[1])) // 2
    ImageDraw.Draw(mask).text((left, line), text, 255, font, anchor="ls")
    return mask

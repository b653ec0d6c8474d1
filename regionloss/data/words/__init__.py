"""Words drawn on images."""

from regionloss.data.words.render import TextRenderer, TextStyle

__all__ = [
    "TextRenderer",
    "TextStyle",
]

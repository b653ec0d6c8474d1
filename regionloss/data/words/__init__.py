"""Words drawn on images."""

from regionloss.data.words.primer import PrimerRenderer
from regionloss.data.words.render import TextRenderer, TextStyle

__all__ = [
    "PrimerRenderer",
    "TextRenderer",
    "TextStyle",
]

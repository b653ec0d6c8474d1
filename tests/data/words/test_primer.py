"""The primer: black words on white, all on one line, in the middle."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from insighttok_ref.data.fonts import fonts
from regionloss.data.words import PrimerRenderer

MONO = [path for path in fonts() if path.name == "DejaVuSansMono-Bold.ttf"]
SIZE = (48, 40)


def drawn(word: str, sizes: tuple[int, int] = (18, 18)) -> tuple[np.ndarray, list[float]]:
    image, found = PrimerRenderer(MONO, [word.upper()], sizes)(Image.new("RGB", SIZE, "red"), random.Random(0))
    assert found.texts == (word,)
    return np.asarray(image.convert("L")), found.boxes[0].tolist()


@pytest.mark.parametrize("word", ["ache", "pygmy", "x"])
def test_a_word_is_black_on_white_in_the_middle_and_its_box_holds_all_ink(word: str) -> None:
    pixels, (x1, y1, x2, y2) = drawn(word, (8, 18) if len(word) == 5 else (14, 14))
    rows, columns = np.nonzero(pixels < 255)
    assert pixels.min() == 0
    assert (columns.min() - 1, rows.min() - 1, columns.max() + 2, rows.max() + 2) == (x1, y1, x2, y2)
    assert abs((columns.min() + columns.max() + 1) / 2 - SIZE[0] / 2) <= 1.5
    assert abs(np.nonzero(drawn("x")[0] < 255)[0].mean() - SIZE[1] / 2) <= 1.5


def test_the_same_letter_at_the_same_place_is_the_same_in_all_words() -> None:
    first, second = drawn("able")[0], drawn("aqua")[0]  # one reaches up, the other down
    assert (first[:, :12] == second[:, :12]).all()
    assert (first != second).any()


def test_a_word_that_does_not_fit_is_left_out() -> None:
    image, found = PrimerRenderer(MONO, ["wheelbarrow"], (18, 18))(Image.new("RGB", SIZE), random.Random(0))
    assert len(found) == 0
    assert np.asarray(image).min() == 255

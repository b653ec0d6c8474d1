"""NED between two readings of a document; originals in which nothing is read are counted."""

from __future__ import annotations

import functools
from pathlib import Path

import matplotlib
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import regionloss as rl
from regionloss.errors import InputError
from regionloss.evaluation.benchmarks import DocumentBenchmark
from regionloss.hooks.catalogue import catalogue
from regionloss.judges import Reading
from tests.evaluation.benchmarks.doubles import Reader, pair

LINES = ("The harbor opens at six", "and closes after dark.", "Tickets cost 12 dollars")


def says(value: float) -> Reading:
    return Reading({1: "harbor", 0: "", -1: "harbour"}[round(value)], 0.5)


def image(value: float) -> Tensor:
    return torch.full((3, 16, 24), float(value))


def test_the_readings_are_compared_and_what_is_not_read_is_counted() -> None:
    benchmark = DocumentBenchmark({"reader": Reader(says, kind="document")})
    assert benchmark.examine(pair(image(1), [], image(1))).values == {"d_ned": 1.0}
    assert benchmark.examine(pair(image(1), [], image(-1))).values == {"d_ned": pytest.approx(6 / 7)}
    assert benchmark.examine(pair(image(-1), [], image(0))).values == {"d_ned": 0.0}
    dropped = benchmark.examine(pair(image(0), [], image(1)))
    assert (dict(dropped.values), dropped.problems) == ({}, ["originals in which nothing is read: some.png"])


def test_one_judge_of_documents_is_asked_for() -> None:
    with pytest.raises(InputError, match="suite documents: expected a judge of 'document' regions at least, got none"):
        DocumentBenchmark({})
    with pytest.raises(InputError, match="suite documents: expected one judge, got a, b"):
        DocumentBenchmark({name: Reader(says, kind="document") for name in "ab"})


def document(lines: tuple[str, ...]) -> Tensor:
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    picture = Image.new("RGB", (256, 128), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text((8, 8 + 36 * number), line, "black", ImageFont.truetype(str(file), 16))
    return rl.to_tensor([picture])[0]


@functools.cache
def packaged() -> DocumentBenchmark:
    return DocumentBenchmark({"page": catalogue().build("judge", "text/ppocr-v6-page", {})})


def test_the_packaged_judge_reads_all_lines_in_order() -> None:
    page = document(LINES)
    whole = rl.Regions.single("document", torch.tensor([[0.0, 0.0, 256.0, 128.0]]), (128, 256))
    (reading,) = packaged().judge.judge(page[None], whole)
    assert reading.text == "".join(LINES)
    assert 0.8 < reading.score <= 1
    half = packaged().examine(pair(page, [], document((*LINES[:2], "Tickets")))).values["d_ned"]
    assert half == pytest.approx(1 - (len(LINES[2]) - 7) / len("".join(LINES)), abs=0.02)
    blank = packaged().examine(pair(torch.ones(3, 128, 256), [], page))
    assert blank.problems == ["originals in which nothing is read: some.png"]

"""`show` and `inspect`: a figure that a notebook shows, and a table that pandas reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regionloss as rl
from regionloss.errors import InputError, UnknownNameError
from tests.helpers import images, text_loss, text_regions

BOXES = rl.Regions("text", torch.tensor([[2.0, 3, 14, 9], [4, 4, 10, 16]]), torch.tensor([0, 1]), (20, 24), 2)
RED = (255, 59, 48)


def test_a_figure_shows_boxes_where_the_table_has_them() -> None:
    figure, table = look = rl.show(torch.zeros(2, 3, 20, 24), BOXES)
    assert [(row["image"], row["kind"], row["x1"], row["y2"], row["score"]) for row in table] == [
        (0, "text", 2.0, 9.0, None),
        (1, "text", 4.0, 16.0, None),
    ]
    pixels = np.asarray(figure)
    assert tuple(pixels[3, 2]) == RED  # the first image's corner, in the sheet's first cell
    assert tuple(pixels[4, 24 + 4]) == RED
    with Image.open(io.BytesIO(look._repr_png_() or b"")) as shown:
        assert shown.size == figure.size


@pytest.mark.parametrize("form", ["path", "pil", "tensor", "list"])
def test_images_come_as_files_pictures_and_tensors(tmp_path: Path, form: str) -> None:
    pixels = np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1
    given: dict[str, Any] = {
        "path": tmp_path / "image.png",
        "pil": Image.fromarray(pixels),
        "tensor": tensor,
        "list": [str(tmp_path / "image.png")],
    }
    figure, table = rl.show(given[form])
    assert np.array_equal(np.asarray(figure), pixels)
    assert table == []
    with pytest.warns(UserWarning, match="value_range"):
        rl.show(torch.rand(1, 3, 8, 8))
    assert rl.show(torch.ones(1, 3, 8, 8), value_range=(0, 1)).figure.getpixel((0, 0)) == (255, 255, 255)


def test_regions_are_looked_for_by_name() -> None:
    figure, table = rl.show(torch.zeros(1, 3, 20, 24), "whole-image")
    assert table == [
        {
            "image": 0,
            "kind": "whole_image",
            "x1": 0.0,
            "y1": 0.0,
            "x2": 24.0,
            "y2": 20.0,
            "score": None,
            "quad": None,
            "text": "",
        }
    ]
    assert figure.size == (24, 20)
    with pytest.raises(UnknownNameError, match="no detector and no term is named 'txt'"):
        rl.show(torch.zeros(1, 3, 20, 24), "txt")


@pytest.mark.parametrize(
    ("given", "regions", "said"),
    [
        (3, None, "show: images: expected a path, a PIL image, a tensor, or several, got int"),
        ([], None, "show: images: expected images, got 0"),
        (torch.zeros(1, 4, 8, 8), None, r"expected \(B, 3, H, W\)"),
        (torch.zeros(1, 3, 8, 8), BOXES, "regions of 1 images, got regions of 2"),
        (torch.zeros(2, 3, 8, 8), BOXES, "20 x 24 pixels, as the regions say, got 8 x 8"),
        (torch.zeros(2, 3, 20, 24), {"text": 3}, "Regions, a mapping of kind to them, or names"),
    ],
)
def test_mistakes_are_sentences(given: Any, regions: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rl.show(given, regions)


def test_a_row_says_what_the_term_says_of_its_region() -> None:
    """Against the loss of each region alone; images in whole 8-bit steps, as files hold them."""
    target, made = ((image * 127.5).round() / 127.5 for image in (images(1), images(1, seed=1)))
    target, made = (((x.float() + 1) * 127.5).round() / 127.5 - 1 for x in (target, made))
    regions = text_regions().of_image(0)
    loss = text_loss()
    terms = rl.LossTerms({"mine": rl.Term(loss, "text", 0.5)})
    figure, table = rl.inspect(target[0], terms, made, regions)
    assert [row["region"] for row in table] == [0, 1]
    for number, row in enumerate(table):
        assert row["product"] == pytest.approx(float(loss(made, target, regions[number])), rel=1e-4)
    assert sum(row["share"] for row in table) == pytest.approx(1)
    assert figure.width > 700
    assert (rl.inspect(target, terms, None, regions).table[0]["distance"]) > 0


def test_an_inspection_says_what_it_lacks() -> None:
    terms = rl.LossTerms({"mine": rl.Term(text_loss(), "text")})
    with pytest.raises(InputError, match="those of kind 'text', got none"):
        rl.inspect(torch.zeros(3, 40, 48), terms)
    with pytest.raises(InputError, match="inspect: image: expected one image, got 2"):
        rl.inspect(torch.zeros(2, 3, 40, 48), terms)
    with pytest.raises(InputError, match="the image's size, 40 x 48, got 8 x 8"):
        rl.inspect(torch.zeros(3, 40, 48), terms, torch.zeros(3, 8, 8))


@pytest.mark.weights
def test_terms_and_detectors_are_named_alike() -> None:
    photograph = Path(rl.__file__).parents[1] / "docs" / "images" / "crops.png"
    with Image.open(photograph) as opened:
        small = opened.convert("RGB").resize((320, 200))
    _, table = rl.inspect(small, {"text": 0.0025})
    assert {row["term"] for row in table} <= {"text"}
    by_term, by_name = rl.show(small, "text").table, rl.show(small, "text/ppocr").table
    assert by_term == by_name


def test_tables_have_the_corners_of_what_lies_askew() -> None:
    quads = torch.tensor([[[8.0, 2], [14, 8], [8, 14], [2, 8]], [[torch.nan] * 2] * 4])
    boxes = torch.tensor([[2.0, 2, 14, 14], [3, 4, 9, 8]])
    regions = rl.Regions("whole_image", boxes, torch.tensor([0, 0]), (20, 24), 1, quads=quads)
    assert [row["quad"] for row in rl.show(torch.zeros(1, 3, 20, 24), regions).table] == [
        [8.0, 2.0, 14.0, 8.0, 8.0, 14.0, 2.0, 8.0],
        None,
    ]

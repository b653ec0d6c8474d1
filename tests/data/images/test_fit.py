"""Fitting images on a canvas: pixels of the published code's demo (tests/golden/golden)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from regionloss.data.images.fit import fit, restore

GOLDEN = Path(__file__).parents[2] / "golden" / "insighttok"
CASES = json.loads((GOLDEN / "smart_padding_cases.json").read_text())


def test_sizes_places_and_pixels_are_the_published_ones() -> None:
    pixels = np.load(GOLDEN / "smart_padding_pixels.npz")
    for number, case in enumerate(CASES["cases"]):
        fitted = fit(Image.new("RGB", (case["w"], case["h"])), tuple(case["target"]))
        left, top, right, bottom = fitted.box
        assert ([left, top], [right - left, bottom - top]) == (case["paste_position"], case["scaled_size"])
        if f"case{number}/input" in pixels:
            fitted = fit(Image.fromarray(pixels[f"case{number}/input"]), tuple(case["target"]))
            for ours, name in ((fitted.canvas, "padded"), (restore(fitted.canvas, fitted), "restored")):
                assert np.abs(np.asarray(ours, int) - pixels[f"case{number}/{name}"]).max() <= 1


def test_nothing_sticks_out_where_rounding_is_unlucky() -> None:
    for case in CASES["overflow_cases"]:
        box = fit(Image.new("RGB", (case["w"], case["h"])), (case["target"], case["target"])).box
        assert (box[0], box[2]) == (0, case["target"])

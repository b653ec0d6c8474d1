"""`inspect`: what terms see in one image, against a distance that can be computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

import regionloss as rl
from regionloss.cli.main import app
from regionloss.data.images.degrade import degraded
from regionloss.data.images.files import to_tensor
from regionloss.data.sidecars.sidecar import Scan, Sidecar, write_sidecar
from regionloss.errors import InputError
from regionloss.losses.terms import Term
from regionloss.pictures.terms import see
from tests.helpers import text_loss, text_regions

PLUGIN = """
from regionloss import FeatureBackbone, InputSpec, hookimpl
from torch import nn

@hookimpl
def register_feature_backbones(register):
    register("mean", "colours:Mean", licence="CC0-1.0", summary="mean colour of the crop")

@hookimpl
def register_terms(register):
    register("mean", kind="text", detector="given", extractor="resize", backbone="mean", licence="CC0-1.0",
             summary="mean colours", options={"extractor": {"size": [8, 8]},
             "detector": {"boxes": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]}})
    register("given", kind="text", extractor="resize", backbone="mean", licence="CC0-1.0", summary="regions are given",
             options={"extractor": {"size": [8, 8]}})

def Mean(): return FeatureBackbone(nn.AvgPool2d(8), InputSpec())
"""
TERMS = "version: 1\nplugins: [./colours.py]\nterms:\n  mine: {use: colours/%s, weight: 0.5}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grey image of 40 x 40 pixels, a copy whose upper left quarter is white, and terms over two quarters."""
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    pixels = np.full((40, 40, 3), 51, np.uint8)
    Image.fromarray(pixels).save("image.png")
    pixels[:20, :20] = 255
    Image.fromarray(pixels).save("copy.png")
    (tmp_path / "colours.py").write_text(PLUGIN)
    (tmp_path / "terms.yaml").write_text(TERMS % "mean")
    (tmp_path / "given.yaml").write_text(TERMS % "given")
    return tmp_path


def inspect(*words: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *words])


def test_distance_weight_and_share_are_those_of_the_formula(folder: Path) -> None:
    result = inspect("image.png", "--terms", "terms.yaml", "--reconstruction", "copy.png", "--out", "seen.png")
    assert result.exit_code == 0, result.output
    # Grey is -0.6 in [-1, 1], white is 1: a distance of 3 x 1.6^2, over a quarter of the image.
    words = next(line for line in result.output.splitlines() if line.startswith("mine  0")).split()
    assert [float(word) for word in words[2:6]] == [0, 0, 20, 20]
    assert words[-4:] == ["7.68", "0.25", "1.92", "100.0%"]
    assert "mine = 1.92, x 0.5 (the term's weight) = 0.96" in result.output
    assert "degraded" not in result.output


def test_the_picture_shows_the_crops(folder: Path) -> None:
    inspect("image.png", "--terms", "terms.yaml", "--reconstruction", "copy.png", "--out", "seen.png")
    with Image.open("seen.png") as opened:
        page = np.asarray(opened.convert("RGB"))
    crops = page[52 + 36, :, :]  # through the middle of the first row: grey crop, white crop
    assert (crops[704 + 30] == 51).all()
    assert (crops[992 + 30] == 255).all()


def test_without_reconstruction_a_degraded_copy_is_compared_and_the_output_says_so(folder: Path) -> None:
    result = inspect("image.png", "--terms", "terms.yaml", "--degrade", "blur=2")
    assert result.exit_code == 0, result.output
    assert "a degraded copy of it (blur=2)" in result.output
    assert (folder / "inspect.png").is_file()


def test_regions_come_from_a_side_car(folder: Path) -> None:
    entry = {"kind": "text", "box": [0.0, 0.0, 0.25, 0.5], "quad": None, "keypoints": None, "score": 0.5}
    row = {"key": "image.png", "width": 40, "height": 40, "scans": [Scan("x", "1", kind="text").__dict__]}
    row["regions"] = [entry | {"text": "word", "detector": "x"}]
    write_sidecar("all.regions.parquet", Sidecar.of([row]))
    words = ["--regions", "all.regions.parquet", "--reconstruction", "copy.png"]
    result = inspect("image.png", "--terms", "given.yaml", *words)
    assert result.exit_code == 0, result.output
    found = next(line for line in result.output.splitlines() if line.startswith("mine  0")).split()
    assert found[2:7] == ["0.0", "0.0", "10.0", "20.0", "0.50"]
    assert found[-5:] == ["7.68", "0.125", "0.96", "100.0%", "word"]
    other = inspect("copy.png", "--terms", "given.yaml", "--regions", "all.regions.parquet")
    assert other.exit_code == 2
    assert "has no image 'copy.png'. Known: image.png" in other.output


def test_no_regions_is_said_and_the_image_drawn(folder: Path) -> None:
    text = (folder / "terms.yaml").read_text().replace("0.5}", "0.5, detector: {options: {boxes: []}}}")
    (folder / "terms.yaml").write_text(text)
    result = inspect("image.png", "--terms", "terms.yaml", "--out", "deep/none.png")
    assert result.exit_code == 0, result.output
    assert "mine: no region of kind 'text' was found, so the term is 0 here." in result.output
    with Image.open(folder / "deep" / "none.png") as page:
        assert page.width < 800  # no columns of crops


def test_mistakes_are_sentences(folder: Path) -> None:
    Image.new("RGB", (20, 40)).save("small.png")
    (folder / "none.yaml").write_text("version: 1\nterms: {}\n")
    cases = [
        (["image.png", "--terms", "terms.yaml", "--reconstruction", "small.png"], "image's size, 40 x 40, got 40 x 20"),
        (["image.png", "--terms", "absent.yaml"], "no such file"),
        (["image.png", "--terms", "txt"], "no term is named 'txt'"),
        (["image.png", "--terms", "none.yaml"], "which has none"),
        (["image.png", "--terms", "core/region-lpips=-1"], "a finite weight"),
        (["image.png", "--terms", "given.yaml"], "no term with a detector for 'text'"),
        (["absent.png", "--terms", "terms.yaml"], "absent.png: there is no such file"),
        (["image.png", "--terms", "terms.yaml", "--out", "image.png"], "none of the images"),
        (["image.png", "--terms", "terms.yaml", "--out", "page.txt"], "a picture such as"),
        (["image.png", "--terms", "terms.yaml", "--degrade", "melt=3"], "--degrade: expected steps"),
        (["image.png", "--terms", "terms.yaml", "--degrade", "jpeg=300"], "a number from 1 to 95, got '300'"),
        (["image.png", "--terms", "terms.yaml", "--regions", "absent"], "side-car: expected"),
    ]
    before = (folder / "image.png").read_bytes()
    for words, sentence in cases:
        result = inspect(*words)
        assert result.exit_code == 2, (words, result.output)
        assert sentence in result.output, (words, result.output)
        assert "Traceback" not in result.output
    assert (folder / "image.png").read_bytes() == before


def test_products_add_up_to_what_the_terms_say() -> None:
    """Against `LossTerms` itself, over a batch with an image without regions."""
    generator = torch.Generator().manual_seed(3)
    target, copy = (torch.rand(3, 3, 40, 48, generator=generator) * 2 - 1 for _ in range(2))
    terms = rl.LossTerms({"text": Term(text_loss().float(), "text", 2.0)})
    seen, values = see(terms, copy, target, {"text": text_regions(3)})
    out = terms(copy, target, {"text": text_regions(3)})
    products = torch.tensor([row.distance * row.weight for row in seen])
    torch.testing.assert_close(products, out.per_region["text"])
    assert values["text"] == pytest.approx(float(out.by_term["text"]), rel=1e-5)
    assert sum(row.share for row in seen) == pytest.approx(1)


def test_degraded_copies_keep_their_size_and_lose_detail() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 255, (31, 45, 3), np.uint8))
    for steps in ("shrink=4", "jpeg=30", "blur=1.5", "shrink=3,jpeg=30"):
        copy = degraded(image, steps)
        assert copy.size == image.size
        assert float((to_tensor([copy]) - to_tensor([image])).abs().mean()) > 0.01
    assert degraded(image, "blur=0").tobytes() == image.tobytes()
    with pytest.raises(InputError, match="a number from 1 to 64"):
        degraded(image, "shrink=nan")

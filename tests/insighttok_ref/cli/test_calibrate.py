"""`calibrate`: gradient norms against closed forms and autograd by hand; proposals that undo a term's scale."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from insighttok_ref.calibration.measurement import measure
from insighttok_ref.calibration.plot import plot
from insighttok_ref.calibration.proposal import propose, reference_of, standards
from insighttok_ref.calibration.samples import Sample, pictures, samples
from insighttok_ref.tokenizers.insighttok.checkpoints import save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss import Regions
from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import Sidecar, write_sidecar
from regionloss.losses.terms import LossTerms, Term
from regionloss.recipe import load_choice
from regionloss.weightings.area import UniformWeighting
from tests.helpers import images, text_loss, text_regions

PLUGIN = """
from regionloss import FeatureBackbone, InputSpec, hookimpl
from torch import nn

@hookimpl
def register_feature_backbones(register):
    register("mean", "colours:Mean", licence="CC0-1.0", summary="mean colours")

@hookimpl
def register_terms(register):
    register("mean", kind="text", detector="given", extractor="resize", backbone="mean", licence="CC0-1.0",
             summary="mean colours", options={"extractor": {"size": [8, 8]},
             "detector": {"boxes": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]}})

def Mean(): return FeatureBackbone(nn.AvgPool2d(4), InputSpec())
"""
TERMS = """version: 1
plugins: [./colours.py]
terms:
  one: {use: colours/mean, weighting: {name: uniform}}
  two: {use: colours/mean, weighting: {name: uniform, options: {value: 2.0}}}
"""
CALM = ["--perceptual", "none", "--size", "32", "--device", "cpu"]


def sample(number: int, regions: Regions | None) -> Sample:
    target, copy = images(1, seed=number), images(1, seed=number + 100).requires_grad_()
    return Sample(str(number), target, copy, {} if regions is None else {"text": regions})


def of_one(regions: Regions, image: int) -> Regions:
    return regions.of_image(image)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "insighttok")
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(3):
        pixels = generator.integers(0, 255, (40 + number, 48, 3), np.uint8)
        Image.fromarray(pixels).resize((96, 80), Image.Resampling.BICUBIC).save(f"images/{number}.png")
    (tmp_path / "colours.py").write_text(PLUGIN)
    (tmp_path / "terms.yaml").write_text(TERMS)
    return tmp_path


def calibrate(*words: str) -> Result:
    return CliRunner().invoke(app, ["calibrate", *words])


def test_norms_are_those_of_autograd_and_of_the_closed_form() -> None:
    terms = LossTerms({"text": Term(text_loss(), "text", 3.0)})
    regions = of_one(text_regions(3), 0)
    rows = {row.name: row for row in measure([sample(0, regions), sample(1, None)], terms)}
    one = sample(0, regions)
    value = text_loss()(one.reconstruction, one.target, regions)
    (gradient,) = torch.autograd.grad(value, one.reconstruction)
    (found,) = rows["text"].found  # the image without regions does not count
    assert found.value == pytest.approx(float(value.detach()))
    assert found.norm == pytest.approx(float(gradient.norm()))
    assert found.rms == pytest.approx(float(gradient.norm()) / gradient.numel() ** 0.5)
    mask = torch.zeros(40, 48, dtype=torch.bool)
    for x1, y1, x2, y2 in regions.boxes.tolist():
        for y in range(40):
            for x in range(48):
                mask[y, x] |= x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2
    assert found.inside == pytest.approx(float(gradient[0, :, mask].square().mean().sqrt()))
    assert rows["text"].images == 2
    # The mean of |y - x| over n elements has a gradient of n times (1 / n)^2 under the root.
    assert [pull.norm for pull in rows["l1"].found] == pytest.approx([(3 * 40 * 48) ** -0.5] * 2)
    assert len(rows["l1 alone"].found) == 2


def test_regions_that_are_not_valid_count_nowhere() -> None:
    """A box that weighs nothing is neither inside, nor makes its image one of those that a term has something for."""
    terms = LossTerms({"text": Term(text_loss(), "text", 3.0)})
    regions = of_one(text_regions(3), 0)
    padded = regions.padded([len(regions) + 5])
    assert len(padded) > len(regions)
    bare, filled = (measure([sample(0, found)], terms) for found in (regions, padded))
    assert [row.found[0].inside for row in filled] == pytest.approx([row.found[0].inside for row in bare])
    none = replace(regions, valid=torch.zeros(len(regions), dtype=torch.bool), layout=None)
    rows = {row.name: row for row in measure([sample(0, none)], terms)}
    assert not rows["text"].found
    assert math.isnan(rows["l1"].found[0].inside)


def test_norms_at_the_last_layer_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 3, 3, padding=1).double()
    target = images(1)
    regions = of_one(text_regions(3), 2)
    output = layer(images(1, seed=5))
    terms = LossTerms({"text": Term(text_loss(), "text")})
    rows = measure([Sample("", target, output, {"text": regions})], terms, None, layer.weight)
    output = layer(images(1, seed=5))
    for row, value in zip(
        rows, [(output - target).abs().mean()] * 2 + [text_loss()(output, target, regions)], strict=True
    ):
        (gradient,) = torch.autograd.grad(value, layer.weight, retain_graph=True)
        assert row.found[0].last_layer == pytest.approx(float(gradient.norm()))


def test_a_term_twice_as_large_gets_half_the_weight_and_the_weight_makes_it_equal() -> None:
    terms = LossTerms(
        {
            "one": Term(text_loss(weighting=UniformWeighting(1.0)), "text"),
            "two": Term(text_loss(weighting=UniformWeighting(2.0)), "text", weight=7.0),
        }
    )
    found = [sample(number, of_one(text_regions(3), image)) for number, image in ((0, 0), (1, 1), (2, 2))]
    rows = measure(found, terms)
    reference = reference_of(None, [], rows, "norm")
    one, two = propose(rows, reference, "norm")
    assert two.weight == pytest.approx(one.weight / 2)
    assert one.weight * one.strength == pytest.approx((3 * 40 * 48) ** -0.5)
    assert "l1 alone" in reference.what


@pytest.mark.parametrize("name", ["$x^$", "_hidden", "{x:d}"])
def test_a_term_s_name_is_drawn_as_text(name: str, tmp_path: Path) -> None:
    rows = measure([sample(0, of_one(text_regions(3), 0))], LossTerms({name: Term(text_loss(), "text")}))
    proposals = propose(rows, reference_of(None, [], rows, "norm"), "norm")
    plot(rows, proposals, "norm", f"l1 and {name}", tmp_path / "c.svg")
    drawing = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert f">{name} (1)<" in drawing
    assert f"as strong as l1 and {name}<" in drawing
    assert "mathdefault" not in drawing


def test_table_plot_and_numbers(folder: Path) -> None:
    result = calibrate("--terms", "terms.yaml", "--images", "images", "--out", "out/c.png", *CALM)
    assert result.exit_code == 0, result.output
    data = json.loads((folder / "out" / "c.json").read_text())
    assert data["proposed"]["two"] == pytest.approx(data["proposed"]["one"] / 2)
    assert data["reference"].startswith("l1 alone")  # no plugin of text is there
    assert "text/paper=1 is not the reference: " in result.output
    assert "text/packaged=0.0025 is not the reference: " in result.output
    assert "3 of 3 (100%)" in result.output
    assert "absent" not in result.output  # nobody asked for LPIPS
    assert {row["name"]: row["counted"] for row in data["losses"]} == {"l1": 3, "l1 alone": 3, "one": 3, "two": 3}
    # As in the closed form, but for the few pixels that the copy has kept exactly.
    assert data["losses"][0]["norm"]["median"] == pytest.approx((3 * 32 * 32) ** -0.5, rel=2e-2)
    with Image.open(folder / "out" / "c.png") as page:
        assert page.width > 600


def test_a_named_reference_sets_the_weight(folder: Path) -> None:
    text = (folder / "terms.yaml").read_text()
    (folder / "reference.yaml").write_text(text.replace("one: {use", "one: {weight: 0.3, use").split("  two:")[0])
    result = calibrate("--terms", "terms.yaml", "--images", "images", "--reference", "reference.yaml", *CALM)
    assert result.exit_code == 0, result.output
    data = json.loads((folder / "calibration.json").read_text())
    assert data["proposed"] == pytest.approx({"one": 0.3, "two": 0.15})


def test_a_tokenizer_is_measured_at_its_last_layer(folder: Path) -> None:
    torch.manual_seed(0)
    small = {"ch": 16, "ch_mult": [1, 2], "num_res_blocks": 1, "z_channels": 16, "code_dim": 8, "norm_groups": 8}
    small |= {"codebook_size": 32, "attn_resolutions": []}
    save_tokenizer(InsightTokenizer(**small), folder / "tokenizer.safetensors")
    words = ["--terms", "terms.yaml", "--images", "images", "--tokenizer", "tokenizer.safetensors", *CALM]
    result = calibrate(*words)
    assert result.exit_code == 0, result.output
    data = json.loads((folder / "calibration.json").read_text())
    assert data["strength"] == "last_layer"
    assert "the decoder's last layer, median" in result.output
    rows = {row["name"]: row for row in data["losses"]}
    assert rows["two"]["last_layer"]["median"] == pytest.approx(2 * rows["one"]["last_layer"]["median"], rel=1e-4)
    uneven = calibrate(*words, "--size", "33")
    assert uneven.exit_code == 2
    assert "--size: expected a multiple of 2" in uneven.output


def test_mistakes_are_sentences(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "bad").mkdir()
    (folder / "bad" / "a.png").write_bytes(b"no image")
    (folder / "weights.pt").write_bytes(b"no weights")
    text = TERMS.replace("weighting: {name: uniform}", "detector: {options: {boxes: []}}").split("  two:")[0]
    (folder / "nothing.yaml").write_text(text)
    good = ["--terms", "terms.yaml", "--images", "images"]
    cases = [
        (["--terms", "absent.yaml", "--images", "images"], "no such file"),
        (["--terms", "terms.yaml", "--images", "absent"], "a folder of images or a tar shard"),
        (["--terms", "terms.yaml", "--images", "empty"], "empty"),
        (["--terms", "terms.yaml", "--images", "bad"], "images that can be read, and were looked at, got none"),
        (["--terms", "nothing.yaml", "--images", "images"], "regions of kind 'text', got none in 3 images"),
        ([*good, "--tokenizer", "absent.pt"], "absent.pt: there is no such file"),
        ([*good, "--tokenizer", "weights.pt"], "weights.pt: expected a tokenizer file"),
        ([*good, "--reference", "txt=1"], "no term is named 'txt'"),
        ([*good, "--perceptual", "lpip"], "no backbone is named 'lpip'"),
        ([*good, "--out", "c.doc"], "a picture such as"),
        ([*good, "--regions", "absent"], "side-car: expected"),
    ]
    for words, sentence in cases:
        calm = [word for word in CALM if "--perceptual" not in words or word not in ("--perceptual", "none")]
        result = calibrate(*words, *calm)
        assert result.exit_code in (1, 2), (words, result.output)
        assert sentence in result.output, (words, result.output)
        assert "Traceback" not in result.output
    assert not (folder / "calibration.png").exists()


def test_the_sample_is_drawn_and_squared_with_its_regions(folder: Path) -> None:
    """A box that is the image's middle square becomes the whole of the sample."""

    def look(key: str, image: Image.Image) -> dict[str, Regions]:
        box = torch.tensor([[8.0, 0.0, 88.0, 80.0]])
        return {"text": Regions("text", box, torch.tensor([0]), (image.height, image.width), 1)}

    first = pictures("images", look, 32, 2, seed=1)
    assert [one.name for one in first] == [one.name for one in pictures("images", look, 32, 2, seed=1)]
    assert len(first) == 2
    assert first[0].regions["text"].boxes.tolist() == [[0.0, 0.0, 32.0, 32.0]]
    (one, _) = samples(first, None, "blur=1")
    assert one.target.shape == (1, 3, 32, 32)
    assert one.reconstruction.requires_grad
    assert not one.target.requires_grad


def test_an_image_of_which_a_side_car_says_nothing_is_named_and_left_out(folder: Path) -> None:
    row = {
        "width": 96,
        "height": 80,
        "scans": [{"detector": "d", "version": "", "weights": "", "options": "{}", "kind": "text"}],
    }
    region = {"kind": "text", "box": [0.1, 0.1, 0.9, 0.9], "score": 1.0, "detector": "d"}
    rows = [{"key": "0.png", "regions": [region], **row}, {"key": "1.png", "regions": [], **row, "width": 50}]
    write_sidecar("images.regions.parquet", Sidecar.of(rows))
    words = ["--terms", "terms.yaml", "--images", "images", "--regions", "images.regions.parquet", *CALM]
    ended = calibrate(*words)
    assert ended.exit_code == 0, ended.output
    assert "Left out: 1.png (images.regions.parquet: expected a row of '1.png' as it is" in ended.output
    assert (
        "Left out: 2.png (images.regions.parquet: expected a row of '2.png', got keys such as '0.png'" in ended.output
    )
    write_sidecar("images.regions.parquet", Sidecar.of([rows[0] | {"key": "0"}]))
    ended = calibrate(*words)
    assert ended.exit_code == 2
    assert "images that can be read, and were looked at, got none" in ended.output


@pytest.mark.parametrize("terms", ["text", "text/packaged=0.1", "text,text/balanced"])
def test_a_term_is_not_its_own_reference(terms: str) -> None:
    """It would be proposed the weight that it has, whatever the images."""
    loaded = load_choice(terms)
    measured = {loaded.catalogue.term(use.use).canonical for use in loaded.recipe.terms.values()}
    standard, reasons = standards("auto", measured)
    assert standard is None
    assert reasons[-1] == "text/packaged=0.0025 is not the reference: it is among the terms that are measured."
    assert standards("rest", measured) == (None, [])

"""One order of sides for every reader: height x width, as tensors have it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from insighttok_ref.cli.reconstruct import sides
from insighttok_ref.tokenizers.insighttok.checkpoints import save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import Sidecar, write_sidecar

ROOT = Path(__file__).parents[2]
WIDTH_FIRST = re.compile(r"\{[^{}]*(?:width|wide)\b[^{}]*\} x \{")


def test_no_sentence_says_the_width_first() -> None:
    assert WIDTH_FIRST.search('f"{image.width} x {image.height}"')
    folders = [ROOT / "regionloss", ROOT / "insighttok_ref", *(ROOT / "plugins").glob("*/src"), ROOT / "examples"]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    found = [f"{path}: {hit[0]}" for path in sources for hit in WIDTH_FIRST.finditer(path.read_text("utf-8"))]
    assert not [line for line in found if "width {config" not in line]
    assert sides(Image.new("RGB", (30, 20)).size) == "20 x 30"


def test_inspect_says_height_x_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (30, 20)).save("wide.png")
    Image.new("RGB", (20, 30)).save("tall.png")
    words = ["inspect", "wide.png", "--terms", "text=1", "--reconstruction", "tall.png"]
    ended = CliRunner().invoke(app, words)
    assert "--reconstruction: expected the image's size, 20 x 30, got 30 x 20." in ended.stderr


def test_whoever_reads_images_can_be_told_how_many_pixels_one_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.new("RGB", (30, 20)).save("photos/a.png")
    rows = [{"key": "a.png", "width": 30, "height": 20, "scans": [], "regions": []}]
    write_sidecar("photos.regions.parquet", Sidecar.of(rows))
    save_tokenizer(InsightTokenizer.from_preset("miniature"), Path("tokenizer.safetensors"))
    for words in (
        ["inspect", "photos/a.png", "--terms", "text=1"],
        ["regions", "show", "photos.regions.parquet", "--images", "photos"],
        ["reconstruct", "photos", "--checkpoint", "tokenizer.safetensors", "--size", "32", "--device", "cpu"],
    ):
        ended = CliRunner().invoke(app, [*words, "--max-pixels", "599"])
        assert ended.exit_code == 2
        assert "a.png: expected at most 599 pixels, got 20 x 30 = 600. Allow more with max_pixels." in ended.stderr
        if words[0] != "inspect":
            assert CliRunner().invoke(app, [*words, "--max-pixels", "600"]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("photos.regions.parquet", "no file of this name"),
        ("photos", "'photos', which is none"),
    ],
)
def test_a_side_car_that_is_missing_is_not_said_to_be_what_was_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, got: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["regions", "stats", name])
    assert ended.exit_code == 2
    assert ended.stderr.strip() == f"side-car: expected a file such as 'photos.regions.parquet', got {got}."

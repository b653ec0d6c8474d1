"""The shipped quickstart, made short: real terms, real judges, from the recipe to the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from regionloss.recipe import TrainingRun, build_trainer, load_recipe

NEEDED = ("nano-ocr", "dlib-face-resnet", "mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet", "faceres-json", "faceres-bin")
SHORT = (
    "trainer.options.phases.0.steps=2",
    "trainer.options.phases.1.steps=2",
    "trainer.options.data.sources.text.test=3",
    "trainer.options.data.sources.face.test=2",
    "trainer.options.log.every=1",
)


@pytest.mark.weights
def test_quickstart_runs_from_recipe_to_page(weights: Callable[[str], Path], tmp_path: Path) -> None:
    for name in NEEDED:
        weights(name)
    run = TrainingRun(load_recipe("quickstart", SHORT), tmp_path)
    build_trainer(run.loaded).run(run)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    ours = [record for record in records if record["part"] == "compare/ours"]
    start = ours[0]
    assert start["gradient_at_start/text"] > 0
    assert all(record["loss/text"] > 0 for record in ours[1:])
    assert sum(record["loss/face"] for record in records if "loss/face" in record) > 0
    test = json.loads((tmp_path / "results.json").read_text())["test"]
    assert test["text"]["original"]["accuracy"]["mean"] > 80
    assert -1 <= test["face"]["ours"]["face"]["mean"] < 1
    assert (tmp_path / "report.html").stat().st_size > 50_000

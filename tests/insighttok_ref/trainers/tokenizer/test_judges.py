"""Judges: other networks than the loss is computed with; and the page at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insighttok_ref.trainers.tokenizer.held_out import WHOLE
from regionloss.cli.main import app
from regionloss.errors import InputError, UnknownNameError, WeightsError
from regionloss.evaluation import read_results
from regionloss.evaluation.judges import build_judges
from regionloss.hooks.catalogue import catalogue
from regionloss.hooks.records import Component
from regionloss.judges import Judge
from regionloss.recipe import TrainingRun, build_trainer

Prepare = Callable[..., TrainingRun]
NO_TERMS = {"components": []}


def test_a_judge_that_the_loss_is_computed_with_is_refused(trained: Path) -> None:
    judges, _ = build_judges({"text": "text/ppocr-v6"}, catalogue(), NO_TERMS)
    weights = {"name": "text/some-recogniser", "sha256": judges["text"].weights_sha256, "licence": "Apache-2.0"}
    resolved = json.loads((trained / "pretrain/resolved.json").read_text())
    build_judges({"text": "text/ppocr-v6"}, catalogue(), resolved)
    resolved["components"].append({"kind": "backbone", "name": "text/own", "weights": [weights]})
    with pytest.raises(
        InputError,
        match="judge 'text/ppocr-v6': expected a network that the loss is not computed with, "
        "got 'text/some-recogniser', which it is",
    ):
        build_judges({"text": "text/ppocr-v6"}, catalogue(), resolved)


def test_refusal_comes_before_training(tiny_run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(tmp_path)
    judges, _ = build_judges({"text": "text/ppocr-v6"}, catalogue(), NO_TERMS)
    trained_against = {judges["text"].weights_sha256: "text/some-recogniser"}
    monkeypatch.setattr("regionloss.evaluation.judges.loss_weights", lambda resolved: trained_against)
    with pytest.raises(InputError, match="which it is"):
        build_trainer(run.loaded).run(run)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_missing_judges_are_noted_and_unknown_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="ppocr-v6"):
        build_judges({"text": "text/ppocr-v7"}, catalogue(), NO_TERMS)
    with pytest.raises(InputError, match="expected a judge of face, got text/ppocr-v6, of text"):
        build_judges({"face": "text/ppocr-v6"}, catalogue(), NO_TERMS)

    class Bare:
        def find(self, kind: str, name: str) -> Component:
            return catalogue().find(kind, name)

        def build(self, kind: str, name: str, options: object) -> Judge:
            raise WeightsError("weights 'faceres-bin' not found.")

    judges, notes = build_judges({"face": "face/faceres"}, Bare(), NO_TERMS)
    assert judges == {}
    assert notes == ["No independent judge of 'face' regions: weights 'faceres-bin' not found."]


def test_report_and_results_are_written(trained: Path) -> None:
    page = (trained / "report.html").read_text()
    results = json.loads((trained / "results.json").read_text())
    rows = results["test"]["text"]
    assert list(rows) == ["original", "pretrain", "control", "ours"]
    assert rows["original"]["accuracy"]["mean"] > 60
    for row in ("pretrain", "control", "ours"):
        assert rows[row]["accuracy"]["count"] == rows["original"]["accuracy"]["count"] >= 4
        assert 0 < rows[row]["psnr_outside"]["mean"] < 40
        assert row in page
    assert {"pretrain", "compare/control", "compare/ours", "judging"} == results["seconds"].keys()


def test_finished_run_can_be_judged_again(trained: Path, tiny_run: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (trained / name).read_bytes() for name in ("metrics.jsonl", "compare/ours/tokenizer.safetensors")}
    first = json.loads((trained / "results.json").read_text())["test"]
    (trained / "report.html").unlink()
    run = tiny_run(trained, "trainer.options.evaluation.crops=2", resume=trained)
    build_trainer(run.loaded).run(run)
    assert (trained / "report.html").is_file()
    assert json.loads((trained / "results.json").read_text())["test"] == first
    assert before == {name: (trained / name).read_bytes() for name in before}
    assert f"report: {trained / 'report.html'}" in capsys.readouterr().out


def test_the_results_of_a_run_can_be_compared_with_those_of_others(trained: Path, tmp_path: Path) -> None:
    results = {
        part: read_results(trained / "results" / part) for part in ("pretrain", "compare/control", "compare/ours")
    }
    assert [one.summary.name for one in results.values()] == ["pretrain", "control", "ours"]
    assert len({one.summary.data_identity for one in results.values()}) == 1
    rows = json.loads((trained / "results.json").read_text())["test"]["text"]
    ours = results["compare/ours"].summary.score("t_acc")
    assert ours is not None
    assert rows["ours"]["accuracy"]["mean"] == pytest.approx(100 * ours.value)
    assert {"text", WHOLE} == set(results["compare/ours"].instances["kind"].to_pylist())
    told = CliRunner().invoke(app, ["compare", str(trained), "--out", str(tmp_path / "page.html")])
    assert told.exit_code == 0, told.output
    page = (tmp_path / "page.html").read_text()
    assert all(f">{name}</option>" in page for name in ("pretrain", "control", "ours"))

"""The tiny recipe from beginning to end: what it learns, what the arms share, what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.tokenizer import loop
from regionloss.errors import InputError
from regionloss.recipe import TrainingRun, build_trainer
from regionloss.runs.process_group import join

Prepare = Callable[..., TrainingRun]


def records(folder: Path, part: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == part and "seconds" in line]


def train(run: TrainingRun) -> None:
    trainer = build_trainer(run.loaded)
    with join("cpu") as ranks:
        trainer.session(run, ranks).train()


def test_loss_falls(trained: Path) -> None:
    losses = [record["loss/total"] for record in records(trained, "pretrain")]
    assert len(losses) == 12
    assert fmean(losses[-4:]) < 0.8 * fmean(losses[:4])


def test_metrics_name_every_part_of_the_loss(trained: Path) -> None:
    control, ours = records(trained, "compare/control"), records(trained, "compare/ours")
    wanted = {"loss/total", "loss/l1", "loss/edges", "loss/commitment", "loss/text", "lr", "gradient_norm"}
    assert wanted | {"codebook/perplexity", "seconds", "part", "step"} <= control[0].keys()
    assert control[0].keys() == ours[0].keys()
    record = ours[2]
    parts = record["loss/l1"] + 0.5 * record["loss/edges"] + record["loss/commitment"] + 0.05 * record["loss/text"]
    assert record["loss/total"] == pytest.approx(parts, rel=1e-4)
    record = control[2]
    parts = record["loss/l1"] + 0.5 * record["loss/edges"] + record["loss/commitment"]
    assert record["loss/total"] == pytest.approx(parts, rel=1e-4)


def test_arms_start_from_the_pretrained_weights(trained: Path) -> None:
    """The first step's losses are computed before any arm has learnt: equal to the last bit that is printed."""
    first = {arm: records(trained, f"compare/{arm}")[0] for arm in ("control", "ours")}
    for name in ("loss/l1", "loss/edges", "loss/commitment", "loss/text", "codebook/perplexity", "lr"):
        assert first["control"][name] == first["ours"][name]
    assert records(trained, "compare/control")[3]["loss/l1"] != records(trained, "compare/ours")[3]["loss/l1"]


def test_arms_see_the_same_images_in_the_same_order(
    tiny_run: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    step_once = loop.micro_step

    def note(state, batch, *rest):
        seen.setdefault(state.part.name, []).append(batch.images)
        return step_once(state, batch, *rest)

    monkeypatch.setattr(loop, "micro_step", note)
    train(tiny_run(tmp_path))
    assert torch.equal(torch.stack(seen["compare/control"]), torch.stack(seen["compare/ours"]))
    assert not torch.equal(seen["compare/ours"][0], seen["compare/ours"][1])
    assert not torch.equal(seen["compare/ours"][0], seen["pretrain"][0])


def test_region_terms_change_the_weights(trained: Path) -> None:
    control, ours = (load_file(trained / f"compare/{arm}/tokenizer.safetensors") for arm in ("control", "ours"))
    assert control.keys() == ours.keys()
    assert not torch.equal(control["decoder.conv_out.weight"], ours["decoder.conv_out.weight"])


def test_tokenizer_file_is_whole(trained: Path) -> None:
    model = load_tokenizer(trained / "compare/ours/tokenizer.safetensors")
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    ids = model.encode(images)
    torch.testing.assert_close(model.decode(ids, model.grid((32, 48))), model(images).reconstruction)


def test_resolved_recipe_lies_beside_each_tokenizer(trained: Path) -> None:
    for part in ("pretrain", "compare/control", "compare/ours"):
        resolved = json.loads((trained / part / "resolved.json").read_text())
        assert resolved["recipe"]["trainer"]["options"]["phases"][0]["steps"] == 12
        assert "torch" in resolved["versions"]
        assert {component["licence"] for component in resolved["components"]} >= {"Apache-2.0"}


def test_a_folder_with_a_run_is_not_written_over(trained: Path, tiny_run: Prepare) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    run = tiny_run(trained)
    with pytest.raises(InputError, match="expected a folder without a run, got one that holds a run"):
        build_trainer(run.loaded).run(run)
    assert before == {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}


def test_seed_decides_everything(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    """Another run of the same recipe gives the same bits; another seed does not."""
    for seed, same in ((3, True), (4, False)):
        train(tiny_run(tmp_path / str(seed), f"seed={seed}", "trainer.options.phases.1.steps=1"))
        name = "pretrain/tokenizer.safetensors"
        first, second = load_file(trained / name), load_file(tmp_path / str(seed) / name)
        assert all(torch.equal(first[key], second[key]) for key in first) is same


def test_the_trainer_s_earlier_name_trains_and_says_today_s(
    tiny_run: Prepare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With arms there is no one tokenizer to export; without judges the report shows pictures alone."""
    short = [f"trainer.options.{change}" for change in ("phases.0.steps=1", "phases.1.steps=1", "evaluation.judges={}")]
    run = tiny_run(tmp_path, "trainer.name=comparison", *short)
    build_trainer(run.loaded).run(run)
    assert "say 'name: insighttok'" in " ".join(capfd.readouterr().out.split())
    assert {"report.html", "results.json"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "tokenizer.safetensors").exists()

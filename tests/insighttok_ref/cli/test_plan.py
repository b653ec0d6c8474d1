"""`regionloss plan`: what is printed, what is written, and what is refused, by sentences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insighttok_ref.cli.pace import Pace, spell
from insighttok_ref.cli.plan import Fits, bytes_of, micro_batches
from regionloss.cli.main import app
from regionloss.errors import InputError
from regionloss.recipe import EngineNeeds, PhaseNeeds, TrainingNeeds

TRAINERS = Path(__file__).parents[1] / "trainers"
TINY = str(TRAINERS / "tokenizer" / "tiny.yaml")
WORDS = str(TRAINERS / "generator" / "tiny.yaml")
ZERO = ("engine.name=deepspeed", "engine.micro_batch=1")


def typed(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["plan", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_tokenizer_s_plan_names_every_part_and_the_cut_of_the_batch() -> None:
    code, out, error = typed(TINY, "--memory", "1GB", "--gpus", "2")
    assert code == 0, error
    head = next(line for line in out.splitlines() if line.startswith("micro-batch "))
    assert re.split("  +", head.strip()) == [
        *("micro-batch", "states", "autoencoder", "term text", "backward pass", "in all", "fits")
    ]
    assert "chosen: plain, micro-batch x accumulation x GPUs: 2 x 1 x 2 = 4" in out
    engine = "trainer.options.engine"
    assert f"say: {engine}.name=plain {engine}.shard_optimizer=false {engine}.micro_batch=2" in out
    assert "which is an assumption" in out


def test_a_generator_s_plan_has_a_row_for_each_stage_and_its_file_is_deepspeed_s(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    code, out, error = typed(WORDS, *ZERO, "engine.zero_stage=1", "--gpus", "2", "--out", str(file))
    assert code == 0, error
    assert [line[:6] for line in out.splitlines() if line.startswith("ZeRO")] == ["ZeRO 1", "ZeRO 2", "ZeRO 3"]
    assert "the recipe has ZeRO 1" in out
    config = json.loads(file.read_text())
    assert config["zero_optimization"]["stage"] == 1
    assert config["train_micro_batch_size_per_gpu"] * config["gradient_accumulation_steps"] * 2 in (2, 4)


def test_the_file_is_the_engine_s_own_configuration(tmp_path: Path) -> None:
    """DeepSpeed itself reads it."""
    from deepspeed.runtime.config import DeepSpeedConfig

    file = tmp_path / "ds.json"
    assert typed(WORDS, *ZERO, "--out", str(file))[0] == 0
    read = DeepSpeedConfig(json.loads(file.read_text()))
    assert read.zero_config.stage == 2
    assert read.gradient_clipping == 1.0


REFUSALS = {
    ("--memory", "80"): "--memory: expected a number with a unit (MB, GB, TB, MiB, GiB, TiB), such as 80GB, got '80'.",
    ("--memory", "0GB"): "--memory: expected a number with a unit",
    ("--memory", "80 Gigs"): "--memory: expected a number with a unit",
    ("--memory", "1MB"): "--memory: expected ",
    ("--gpus", "3"): "--gpus: expected a divisor of the batch (4), got 3. Say --gpus 2 or 4, or another batch_size.",
    ("--gpus", "0"): "--gpus: expected 1 or more, got 0.",
    ("--card", "A10O"): "--card: no card is named 'A10O'. Did you mean 'A100'?",
    ("--utilisation", "40"): "--utilisation: expected a share, at most 1, got 40.",
    ("--tflops", "0"): "--tflops: expected a number above 0, got 0.",
    ("--images-per-second", "nan"): "--images-per-second: expected a number above 0, got nan.",
    ("--out", "ds.json"): "--out: expected a recipe whose engine is deepspeed, got 'plain'.",
}


@pytest.mark.parametrize("words", REFUSALS, ids=" ".join)
def test_bad_input_is_a_sentence(words: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = typed(TINY, *words)
    assert code in (1, 2)
    assert error.startswith(REFUSALS[words])
    assert not list(tmp_path.iterdir())


def test_a_trainer_that_says_nothing_of_its_needs_is_named() -> None:
    code, _, error = typed(str(TRAINERS / "tokenizer" / "company.yaml"))
    assert code == 2
    assert error.startswith("trainer.name: expected a trainer that says what it needs, got 'company', which does not.")


@pytest.mark.parametrize(
    ("text", "size"), [("80GB", 80 * 10**9), ("80gib", 80 * 2**30), (" 1.5 TB ", 15 * 10**11), ("24 GiB", 24 * 2**30)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert bytes_of(text) == size


def phase(batch: int, operations: float = 1.0) -> PhaseNeeds:
    return PhaseNeeds("only", 10, batch, operations)


def test_micro_batches_divide_the_batches_of_all_phases() -> None:
    assert micro_batches([phase(512)], 32) == [1, 2, 4, 8, 16]
    assert micro_batches([phase(96), phase(36)], 2) == [1, 2, 3, 6]
    assert micro_batches([phase(60)], 1, wanted=12) == [1, 2, 3, 5, 10, 12, 20, 30, 60]
    with pytest.raises(InputError, match=r"a divisor of the batch \(512\), got 24. Say --gpus 16 or 32"):
        micro_batches([phase(512)], 24)


def test_the_recipe_s_engine_is_chosen_where_it_fits_and_the_first_that_does_otherwise() -> None:
    engines = [
        EngineNeeds("own", {"weights": 50}),
        EngineNeeds("less", {"weights": 20}),
        EngineNeeds("least", {"w": 1}),
    ]
    tried: list[int] = []

    def step(size: int) -> dict[str, int]:
        tried.append(size)
        return {"activations": 10 * size}

    needs = TrainingNeeds([phase(16)], engines, step)
    fits = Fits.of(needs, [1, 2, 4, 8, 16], 1, usable=60)
    assert fits.choice() == (engines[0], 1)
    assert tried == [1, 2, 4, 8]  # with 8 none fits
    assert [fits.largest(engine) for engine in engines] == [1, 4, 4]
    assert Fits.of(needs, [1, 2], 1, usable=45).choice() == (engines[1], 2)
    nothing = Fits.of(needs, [1, 2], 1, usable=10)
    assert (nothing.choice(), nothing.least()) == (None, 11)


def test_time_is_operations_over_what_cards_reach_or_what_was_measured() -> None:
    whole = phase(100, operations=312e12 * 0.5)  # half a second of an A100 at its peak
    assert Pace.of("a100", 0.5, None, None).seconds(whole, 4, bf16=True) == pytest.approx(1000 / 4)
    assert Pace.of("A100", 0.5, None, None).seconds(whole, 4, bf16=False) == pytest.approx(1000 / 2)
    assert Pace.of("A100", 0.5, 312, None).seconds(whole, 4, bf16=False) == pytest.approx(1000 / 8)
    assert Pace.of("A100", 0.5, None, 20).seconds(whole, 4, bf16=True) == pytest.approx(50)
    assert "50% of the peak of A100 (156 TFLOP/s)" in Pace.of("A100", 0.5, None, None).reason(bf16=False)
    assert [spell(one) for one in (5, 300, 7200 * 3, 86400 * 20.44)] == [
        *("5.0 seconds", "5.0 minutes", "6.0 hours", "20.4 days")
    ]

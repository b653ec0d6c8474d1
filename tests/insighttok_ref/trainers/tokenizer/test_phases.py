"""Three phases from beginning to end: what each learns, who listens when, and what a run leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.checkpoint import read_state
from regionloss.errors import InputError, RecipeError, UnknownNameError, WeightsError
from tests.insighttok_ref.trainers.tokenizer.phases import OPTIONS, PHASES, metrics, prepare, train


def records(folder: Path, phase: str) -> list[dict[str, float]]:
    return [line for line in metrics(folder) if line["part"] == phase and "loss/total" in line]


def test_every_part_is_logged_by_name(trained_phases: Path) -> None:
    """The total is the weighted sum of its parts, phase by phase."""
    for record in [line for phase in PHASES for line in records(trained_phases, phase)]:
        weights = {"l1": 1.0, "commitment": 1.0, "text": {"regions": 0.05, "decoder": 0.005}.get(record["part"], 0)}
        parts = sum(weight * record[f"loss/{name}"] for name, weight in weights.items())
        parts += 0.1 * record.get("loss/adversarial", 0.0)
        assert record["loss/total"] == pytest.approx(parts, rel=1e-4)


def test_the_discriminator_learns_before_the_generator_listens(trained_phases: Path) -> None:
    learns = ["loss/discriminator" in record for record in records(trained_phases, "pretrain")]
    assert learns == [False] * 3 + [True] * 3
    heard = {phase: ["loss/adversarial" in record for record in records(trained_phases, phase)] for phase in PHASES}
    assert heard == {"pretrain": [False] * 6, "regions": [True] * 4, "decoder": [True] * 3}


def test_the_last_phase_trains_the_decoder_alone(trained_phases: Path) -> None:
    before, after = (load_file(trained_phases / name / "tokenizer.safetensors") for name in ("regions", "decoder"))
    learnt = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert learnt == {"decoder", "post_quant_conv"}
    first, second = (load_file(trained_phases / name / "tokenizer.safetensors") for name in ("pretrain", "regions"))
    assert not torch.equal(first["quantize.embedding.weight"], second["quantize.embedding.weight"])


def test_each_phase_has_a_schedule_of_its_own(trained_phases: Path) -> None:
    """Warm-up over 5% (one step here), then half a cosine: worked out for 4 steps of peak 1e-3."""
    assert [line["lr"] for line in records(trained_phases, "regions")] == pytest.approx([1e-3, 1e-3, 7.5e-4, 2.5e-4])


def test_what_a_run_leaves(trained_phases: Path) -> None:
    whole = load_tokenizer(trained_phases / "tokenizer.safetensors")
    last = load_tokenizer(trained_phases / "decoder" / "tokenizer.safetensors")
    assert whole.fingerprint == last.fingerprint
    assert load_tokenizer(trained_phases / "decoder" / "tokenizer-average.safetensors").fingerprint != last.fingerprint
    assert {path.name for path in (trained_phases / "checkpoints").iterdir()} == {"step-00000012", "step-00000013"}
    assert read_state(trained_phases / "checkpoints" / "step-00000012")["threads"] == torch.get_num_threads()


def test_the_average_is_one_of_the_weights(tmp_path: Path) -> None:
    """Against the moving average written out, which the next phase goes on with."""
    seen: list[torch.Tensor] = []

    def watch(session: Session) -> None:
        after = session._after_step

        def then(state, record):
            seen.append(state.model.last_layer.detach().clone())
            after(state, record)

        session._after_step = then
        begin = session._begin

        def begun(part):
            state = begin(part)
            seen.append(state.model.last_layer.detach().clone())
            return state

        session._begin = begun

    train(prepare(tmp_path, OPTIONS + "phases.1.steps=1", OPTIONS + "phases.2.steps=1"), watch)
    average = seen[0]
    for step, weights in enumerate(seen[1:7]):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights
    kept = load_file(tmp_path / "pretrain" / "tokenizer-average.safetensors")
    torch.testing.assert_close(kept["decoder.conv_out.weight"], average)
    began, after = seen[7:9]
    assert torch.equal(began, seen[6])
    kept = load_file(tmp_path / "regions" / "tokenizer-average.safetensors")
    torch.testing.assert_close(kept["decoder.conv_out.weight"], 7 / 16 * average + 9 / 16 * after)


@pytest.mark.parametrize(
    ("overrides", "error", "sentence"),
    [
        (["engine.micro_batch=3"], InputError, r"batch_size"),
        (["phases.2.train=[]"], RecipeError, r"expected encoder or decoder among the parts that learn"),
        (["phases.2.train=[quantizer]"], RecipeError, r"A phase that freezes everything trains nothing"),
        (["phases.0.data={plane: 1}"], UnknownNameError, r"Did you mean 'plain'"),
        (["model.preset=insighttok-426"], RecipeError, r"insighttok-426m"),
        (["engine.zero_stage=3"], RecipeError, r"ZeRO 3 shards the weights themselves"),
        (["objective.adversarial.listen_from=2"], RecipeError, r"learn_from"),
        (["phases.1.term_weights={txt: 1}"], InputError, r"Did you mean 'text'"),
        (["start_from=nothing.safetensors"], WeightsError, r"nothing\.safetensors"),
    ],
)
def test_what_does_not_fit_is_a_sentence(
    tmp_path: Path, overrides: list[str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        train(prepare(tmp_path, *[OPTIONS + override for override in overrides]))


def test_a_run_starts_from_a_tokenizer(trained_phases: Path, tmp_path: Path) -> None:
    start = f"{OPTIONS}start_from={trained_phases / 'tokenizer.safetensors'}"
    seen = []

    def look(session: Session) -> None:
        seen.append(session._begin(session.parts[0]).model.fingerprint)

    train(prepare(tmp_path / "a", start, OPTIONS + "phases.0.steps=1"), look)
    assert seen == [load_tokenizer(trained_phases / "tokenizer.safetensors").fingerprint]
    with pytest.raises(InputError, match=r"a tokenizer of the recipe's layout, got codebook_size 32 \(here 64\)"):
        train(prepare(tmp_path / "b", start, OPTIONS + "model.codebook_size=64"))

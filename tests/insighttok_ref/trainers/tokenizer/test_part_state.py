"""The small parts of training, each against something worked out by hand or by torch itself."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rich.console import Console

from insighttok_ref.objective.objective import Objective
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.recipe_changes import changed
from insighttok_ref.trainers.tokenizer.balance import gradient_norms, weights_from_norms
from insighttok_ref.trainers.tokenizer.loop import PartState, train_step
from insighttok_ref.trainers.tokenizer.options import Phase
from insighttok_ref.trainers.tokenizer.plan import plan
from insighttok_ref.trainers.tokenizer.progress import RunProgress, TimeLeft, minutes
from insighttok_ref.training.learning_rate import cosine
from insighttok_ref.training.stop import TrainingError
from regionloss.data.batches.loader import BatchLoader
from regionloss.errors import InputError, RecipeError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.recipe.run import train
from regionloss.runs.process_group import join

Prepare = Callable[..., TrainingRun]
phase = partial(Phase, batch_size=4, lr=1e-3)


def test_cosine_rises_over_a_twentieth_and_falls_to_zero() -> None:
    rates = [cosine(step, 200) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[105] == pytest.approx(0.5)
    assert rates[199] == pytest.approx(0.5 + 0.5 * math.cos(math.pi * 189 / 190))
    assert all(a >= b for a, b in pairwise(rates[9:]))


def test_plan_orders_parts() -> None:
    phases = [
        phase(name="first", steps=5),
        phase(name="second", steps=3, terms=()),
        phase(name="last", steps=4, arms={"a": (), "b": ("text", "face")}),
    ]
    parts = plan(phases, ("text", "face"), seed=10)
    assert [p.name for p in parts] == ["first", "second", "last/a", "last/b"]
    assert [p.terms for p in parts] == [("text", "face"), (), (), ("text", "face")]
    assert [p.starts_from for p in parts] == ["", "first", "second", "second"]
    assert [p.first_batch for p in parts] == [0, 5, 8, 8]
    assert [p.first_step for p in parts] == [0, 5, 8, 12]
    assert [p.seed for p in parts] == [10, 11, 12, 12]


def test_plan_refuses_what_does_not_fit() -> None:
    arms = phase(name="x", steps=1, arms={"a": ()})
    with pytest.raises(InputError, match="arms in the last phase alone"):
        plan([arms, phase(name="y", steps=1)], (), 0)
    with pytest.raises(InputError, match="a name of its own, got 'x' again"):
        plan([phase(name="x", steps=1), arms], (), 0)
    with pytest.raises(InputError, match=r"no term 'txt'. Did you mean 'text'\?"):
        plan([phase(name="x", steps=1, terms=("txt",))], ("text", "face"), 0)


def test_mistakes_in_a_recipe_are_all_told_with_their_paths() -> None:
    overrides = [
        "trainer.options.model.chh=1",
        "trainer.options.model.quantizer.bta=1",
        "trainer.options.phases.0.steps=0",
        "trainer.options.objective.l3=1",
        "trainer.options.optimizer.clip=-1",
        "trainer.options.data.sources.text.render.font_size=[1, 2]",
    ]
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path(__file__).with_name("tiny.yaml"), overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(overrides)
    for override, hint in zip(overrides, ("'ch'", "'beta'", "greater", "l1", "greater", "'font_sizes'"), strict=True):
        path = override.partition("=")[0]
        assert any(path in line and hint in line for line in lines), (path, lines)


def test_preset_with_other_options_over_it() -> None:
    model = build_tokenizer({"preset": "miniature", "codebook_size": 32})
    assert model.codebook.shape == (32, 32)


def test_broken_tokenizer_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"x\.safetensors: there is no such file"):
        load_tokenizer(tmp_path / "x.safetensors")


def begun(run: TrainingRun) -> tuple[PartState, BatchLoader]:
    """Return the first part as it begins, and its batches."""
    trainer = build_trainer(run.loaded)
    with join("cpu") as ranks:
        session = trainer.session(run, ranks)
    state = session._begin(session.parts[0])
    state.model.train()
    return state, session.batches(session.parts[0], state.share).source


def test_gradient_norms_are_those_of_backward(tiny_run: Prepare, tmp_path: Path) -> None:
    state, batches = begun(tiny_run(tmp_path, "trainer.options.phases.0.terms=[text]"))
    batch, model, terms = batches.batch(0), state.model, state.objective.terms
    codes = model.codebook.clone()
    norms = gradient_norms(state, [batch])
    assert model.training
    assert torch.equal(codes, model.codebook)
    assert model.last_layer.grad is None
    model.eval()
    output = model(batch.images)
    Objective(state.objective.options)(output, batch.images, batch.regions).total.backward(retain_graph=True)
    rest = model.last_layer.grad.clone()
    model.last_layer.grad = None
    terms(output.reconstruction, batch.images, batch.regions).by_term["text"].backward()
    assert norms["objective"] == pytest.approx(float(rest.norm()), rel=1e-5)
    assert norms["text"] == pytest.approx(float(model.last_layer.grad.norm()), rel=1e-5)
    assert weights_from_norms(norms)["text"] == pytest.approx(
        float(rest.norm() / model.last_layer.grad.norm()), rel=1e-5
    )
    assert weights_from_norms({"objective": 1.0, "face": 0.0})["face"] == math.inf


def test_what_is_watched_is_logged_as_it_is_with_any_number_of_micro_batches(tiny_run: Prepare, tmp_path: Path) -> None:
    """It is looked at in the last micro-batch alone: against the term computed on that one."""
    state, batches = begun(tiny_run(tmp_path, "trainer.options.engine.micro_batch=1"))
    assert state.share.accumulation == 4
    last, outputs = batches.batch(3), []
    state.model.register_forward_hook(lambda module, given, output: outputs.append(output.reconstruction.detach()))
    record = train_step(state, batches.starting_at(0), True)
    alone = state.objective.watched(outputs[-1], last.images, last.regions).by_term["text"]
    assert float(alone) > 0
    assert float(record["loss/text"]) == pytest.approx(float(alone), rel=1e-5)


def test_a_record_is_the_mean_of_all_micro_batches(tiny_run: Prepare, tmp_path: Path) -> None:
    """Against l1 of each micro-batch, by hand."""
    state, batches = begun(tiny_run(tmp_path, "trainer.options.engine.micro_batch=1"))
    outputs: list[torch.Tensor] = []
    state.model.register_forward_hook(lambda module, given, output: outputs.append(output.reconstruction.detach()))
    record = train_step(state, batches.starting_at(0), True)
    apart = [float((made - batches.batch(n).images).abs().mean()) for n, made in enumerate(outputs)]
    assert len(set(apart)) == 4
    assert float(record["loss/l1"]) == pytest.approx(sum(apart) / 4, rel=1e-5)


def test_lecam_s_averages_move_once_a_step_however_it_is_cut(tiny_run: Prepare, tmp_path: Path) -> None:
    """By hand: a quarter of the way from 0 to the mean logits of the step's four micro-batches."""
    adversary = "{ndf: 8, layers: 1, lecam: 0.1, lecam_decay: 0.75}"
    overrides = ["engine.micro_batch=1", f"objective.adversarial={adversary}"]
    state, batches = begun(tiny_run(tmp_path, *[f"trainer.options.{one}" for one in overrides]))
    record = train_step(state, batches.starting_at(0), True)
    assert state.share.accumulation == 4
    assert state.adversary is not None
    for name in ("real", "fake"):
        wanted = 0.25 * float(record[f"loss/logits_{name}"])
        assert float(getattr(state.adversary.lecam, name)) == pytest.approx(wanted, rel=1e-5)


def test_a_term_s_late_start_counts_the_steps_of_its_phase(tiny_run: Prepare, tmp_path: Path) -> None:
    """A phase's terms start at the same step of it, whatever came before, and in each arm alike."""
    run = tiny_run(tmp_path, "terms.text.start_step=3", "trainer.options.phases.0.terms=[text]")
    state, batches = begun(run)
    state.part = replace(state.part, first_step=20)
    heard = []
    for state.step in range(5):
        heard.append(float(train_step(state, batches.starting_at(state.step), False)["loss/text"]) > 0)
    assert heard == [False, False, False, True, True]


def test_arms_meet_the_discriminator_at_the_same_step(tiny_run: Prepare, tmp_path: Path) -> None:
    """The second arm trains after the first one, but compares with it: from the same batch on."""
    run = tiny_run(
        tmp_path, "trainer.options.objective.adversarial={learn_from: 14, listen_from: 16, ndf: 8, layers: 1}"
    )
    trainer = build_trainer(run.loaded)
    with join("cpu") as ranks:
        session = trainer.session(run, ranks)
    turns = []
    for part in session.parts[1:]:
        state = PartState(part, session.shares[part.name], None, None, Objective(session.trainer.objective), None)
        for state.step in range(6):
            turns.append((part.name, state.step, state.turn("learn_from"), state.turn("listen_from")))
    arms = [[turn[1:] for turn in turns if turn[0] == part.name] for part in session.parts[1:]]
    assert arms[0] == arms[1] == [(step, step >= 2, step >= 4) for step in range(6)]


def test_a_value_that_is_not_finite_stops_with_step_and_part(tiny_run: Prepare, tmp_path: Path) -> None:
    state, batches = begun(tiny_run(tmp_path))
    train_step(state, batches.starting_at(0), True)
    with torch.no_grad():
        state.model.decoder.conv_out.bias.fill_(math.inf)
    before = [p.clone() for p in state.model.encoder.parameters()]
    state.step = 1
    with pytest.raises(
        TrainingError, match=r"step 1: expected a finite '.*l1', got NaN or Inf\. Nothing was saved yet"
    ):
        train_step(state, batches.starting_at(1), True)
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.encoder.parameters(), strict=True))


def test_frozen_parts_do_not_learn(tiny_run: Prepare, tmp_path: Path) -> None:
    run = tiny_run(tmp_path, "trainer.options.phases.0.train=[decoder]", "trainer.options.phases.0.steps=2")
    state, batches = begun(run)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    train_step(state, batches.starting_at(0), False)
    after = state.model.state_dict()
    learnt = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert learnt == {"decoder", "post_quant_conv"}
    with pytest.raises(RecipeError, match=r"phases\.0\.train"):
        tiny_run(tmp_path / "wrong", "trainer.options.phases.0.train=[decodr]")


def test_time_left_counts_every_part_at_its_own_rate() -> None:
    phases = [phase(name="a", steps=10, terms=()), phase(name="b", steps=4, arms={"x": (), "y": ("text",)})]
    parts = plan(phases, ("text",), 0)
    left = TimeLeft(parts, afterwards=5.0)
    left.note(parts[0], 1.0)
    left.note(parts[0], 1.0)
    assert left.seconds(parts[0], 2) == pytest.approx(8 + 4 + 4 * 2 + 5)
    left.note(parts[2], 3.0)
    assert left.seconds(parts[1], 1) == pytest.approx(3 + 4 * 3 + 5)
    assert [minutes(s) for s in (59.4, 60, 125)] == ["59 s", "1 min 0 s", "2 min 5 s"]


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    parts = plan([phase(name="a", steps=20, terms=())], (), 0)
    stream = io.StringIO()
    with RunProgress(parts, Console(file=stream, force_terminal=False)) as shown:
        for step in range(1, 21):
            shown.step(parts[0], step, 0.5 if step % 5 == 1 else None)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "a 20/20  loss 0.5000 at 16  about 0 s left"


def test_changed_names_keys() -> None:
    before = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert changed(before, {"a": {"b": 2, "c": [1]}, "e": 3}) == ["a.b", "d", "e"]


def test_a_term_that_meets_nan_first_says_what_is_good(tiny_run: Prepare, tmp_path: Path) -> None:
    """Region terms look at their first call, before the objective's total is known."""
    state, batches = begun(tiny_run(tmp_path, "trainer.options.phases.0.terms=[text]"))
    with torch.no_grad():
        state.model.decoder.conv_out.bias.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"^step 0: .*finite.* Nothing was saved yet"):
        train_step(state, batches.starting_at(0), True)


def test_phases_have_names_and_are_there(tiny_run: Prepare, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"a name that no folder of a run has .*got checkpoints"):
        tiny_run(tmp_path, "trainer.options.phases.0.name=checkpoints")
    with pytest.raises(RecipeError, match=r"phases"):
        tiny_run(tmp_path, "trainer.options.phases=[]")


def test_a_run_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    loaded = load_recipe(
        Path(__file__).with_name("tiny.yaml"),
        ["trainer.options.data.sources.text={images: nowhere, annotate: true, test: 2}"],
    )
    with pytest.raises(InputError, match="nowhere"):
        train(loaded, tmp_path / "run")
    assert not (tmp_path / "run").exists()

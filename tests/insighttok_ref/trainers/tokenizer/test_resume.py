"""Stopped anywhere and resumed, a run gives the same bits as an unbroken one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.trainers import parts_run
from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.checkpoint import Checkpoints, read_history, read_state
from insighttok_ref.training.stop import StoppedError
from regionloss.errors import InputError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer
from regionloss.runs.process_group import join

Prepare = Callable[..., TrainingRun]
PARTS = ("pretrain", "compare/control", "compare/ours")


def session(run: TrainingRun) -> Session:
    trainer = build_trainer(run.loaded)
    with join("cpu") as ranks:
        return trainer.session(run, ranks)


class CrashError(Exception):
    pass


def stop_at(begun: Session, part: str, step: int, how: Callable[[], None]) -> None:
    """Let something happen after a step: a signal, or a crash that saves nothing."""
    after = begun._after_step

    def then(state, record):
        if (state.part.name, state.step) == (part, step):
            how()
        after(state, record)

    begun._after_step = then


def crash() -> None:
    raise CrashError


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize(
    ("part", "step", "how"),
    [
        ("pretrain", 1, interrupt),
        ("pretrain", 3, crash),
        ("pretrain", 7, terminate),
        ("pretrain", 12, interrupt),
        ("compare/control", 5, crash),
        ("compare/ours", 1, interrupt),
        ("compare/ours", 6, interrupt),
    ],
)
def test_resumed_run_equals_an_unbroken_one_bit_for_bit(
    trained: Path, tiny_run: Prepare, tmp_path: Path, part: str, step: int, how: Callable[[], None]
) -> None:
    out = tmp_path / "run"
    begun = session(tiny_run(out))
    stop_at(begun, part, step, how)
    with pytest.raises((CrashError, StoppedError)):
        begun.train()
    torch.manual_seed(99)  # whatever has happened to the generator meanwhile
    resumed = session(tiny_run(out, resume=out) if any(out.glob("checkpoints/*")) else again(tiny_run, out))
    resumed.train()
    for name in PARTS:
        whole, broken = (load_file(folder / name / "tokenizer.safetensors") for folder in (trained, out))
        assert whole.keys() == broken.keys()
        assert all(torch.equal(whole[key], broken[key]) for key in whole), name
    assert metrics(out) == metrics(trained)


def again(tiny_run: Prepare, out: Path) -> TrainingRun:
    """Begin anew: a crash before the first save leaves nothing to go on from."""
    (out / "metrics.jsonl").unlink()
    return tiny_run(out)


def test_finished_parts_are_not_trained_again(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    out = tmp_path / "run"
    begun = session(tiny_run(out))
    stop_at(begun, "compare/control", 2, interrupt)
    with pytest.raises(StoppedError):
        begun.train()
    resumed = session(tiny_run(out, resume=out))
    assert [part.name for part in resumed.todo] == ["compare/control", "compare/ours"]
    assert [part.name for part in session(tiny_run(trained, resume=trained)).todo] == []


def test_the_sentence_says_how_to_go_on(tiny_run: Prepare, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    begun = session(tiny_run(tmp_path))
    stop_at(begun, "pretrain", 2, interrupt)
    wanted = f"stopped after step 2 of pretrain; its state is saved. .* --resume {tmp_path}"
    with pytest.raises(StoppedError, match=wanted):
        begun.train()
    assert read_state(Checkpoints(tmp_path / "checkpoints").newest())["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_another_recipe_is_refused_by_key(trained: Path, tiny_run: Prepare) -> None:
    with pytest.raises(InputError, match=r"differs in terms\.text\.weight, trainer\.options\.phases"):
        session(tiny_run(trained, "terms.text.weight=0.5", "trainer.options.phases.1.steps=7", resume=trained))


def test_options_that_are_new_since_have_their_defaults(
    trained: Path, tiny_run: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of an earlier version goes on: what its recipe could not say is as it was. What it did say still counts."""

    def of_earlier_version(checkpoint: Path) -> dict[str, object]:
        state = read_history(checkpoint)
        recipe = json.loads(state["recipe"])
        options = recipe["trainer"]["options"]
        del options["optimizer"]["clip"], options["phases"][0]["warmup"]
        return {**state, "recipe": json.dumps(recipe)}

    monkeypatch.setattr(parts_run, "read_history", of_earlier_version)
    assert session(tiny_run(trained, resume=trained)).todo == []
    with pytest.raises(InputError, match=r"differs in trainer\.options\.optimizer\.clip"):
        session(tiny_run(trained, "trainer.options.optimizer.clip=2", resume=trained))


@pytest.mark.parametrize("recipe", ["[]", "{}", '"x"', '{"trainer": 1, "version": 1, "terms": {}}'])
def test_a_recipe_that_is_none_is_another_one(
    trained: Path, tiny_run: Prepare, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    monkeypatch.setattr(parts_run, "read_history", lambda checkpoint: {**read_history(checkpoint), "recipe": recipe})
    with pytest.raises(InputError, match="expected a run of this recipe, got one that differs in"):
        session(tiny_run(trained, resume=trained))


def test_evaluation_may_change_after_a_stop(trained: Path, tiny_run: Prepare) -> None:
    assert session(tiny_run(trained, "trainer.options.evaluation.crops=1", resume=trained)).todo == []


def test_resume_from_nothing(tiny_run: Prepare, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"checkpoints: expected checkpoints, got none"):
        session(tiny_run(tmp_path, resume=tmp_path))


def test_resume_writes_where_the_run_is(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A run goes on where it is"):
        session(tiny_run(tmp_path / "other", resume=trained))

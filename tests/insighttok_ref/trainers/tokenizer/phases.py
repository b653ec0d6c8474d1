"""Runs of three tiny phases, stopped or not, and what they leave."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.stop import StoppedError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.runs.process_group import join

TINY = Path(__file__).with_name("tiny_phases.yaml")
PHASES = ("pretrain", "regions", "decoder")
FILES = ("tokenizer.safetensors", "tokenizer-average.safetensors", "adversary.safetensors")
OPTIONS = "trainer.options."
DEEPSPEED = OPTIONS + "engine.name=deepspeed"


def prepare(out: Path, *overrides: str, resume: bool = False) -> TrainingRun:
    out.mkdir(parents=True, exist_ok=True)
    return TrainingRun(load_recipe(TINY, overrides), out, out if resume else None)


def train(run: TrainingRun, meanwhile: Callable[[Session], None] = lambda session: None) -> None:
    trainer = build_trainer(run.loaded)
    with join("cpu", group_of_one=trainer.engine.name == "deepspeed") as ranks:
        session = trainer.session(run, ranks)
        meanwhile(session)
        session.train()


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


class CrashError(Exception):
    pass


def crash() -> None:
    raise CrashError


def stop(how: Callable[[], None], at: int) -> Callable[[Session], None]:
    def arrange(session: Session) -> None:
        after = session._after_step

        def then(state, record):
            if state.run_step == at:
                how()
            after(state, record)

        session._after_step = then

    return arrange


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def assert_same(whole: Path, broken: Path) -> None:
    for name in [f"{phase}/{file}" for phase in PHASES for file in FILES]:
        one, other = load_file(whole / name), load_file(broken / name)
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert metrics(whole) == metrics(broken)


def stopped_and_resumed(out: Path, step: int, how: Callable[[], None], *overrides: str) -> None:
    with pytest.raises((StoppedError, CrashError)):
        train(prepare(out, *overrides), stop(how, step))
    torch.manual_seed(99)  # whatever has happened to the generator meanwhile
    train(prepare(out, *overrides, resume=True))

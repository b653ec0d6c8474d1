"""Three hundred odd inputs of each subject; `python -m tests.fuzz` runs more, and one alone."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from regionloss.errors import InputError
from tests.fuzz import judging
from tests.fuzz.judging import Fault, fault_of
from tests.fuzz.subjects import SUBJECTS

SEEDS = 300


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_traceback_no_hang_no_silent_loss(name: str) -> None:
    faults = {seed: fault for seed in range(SEEDS) if (fault := fault_of(SUBJECTS[name], name, seed))}
    lines = "\n".join(f"python -m tests.fuzz --subject {name} --seed {seed}: {why}" for seed, why in faults.items())
    assert not faults, f"seeds 0 to {SEEDS - 1}, {len(faults)} faults\n{lines}"


def test_the_judge_knows_a_fault_from_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "LIMIT", 0.2)

    def ends(rng: random.Random, folder: Path) -> None:
        raise InputError("a: expected b, got c.")

    def raises(rng: random.Random, folder: Path) -> None:
        raise KeyError("lost")

    def mumbles(rng: random.Random, folder: Path) -> None:
        raise InputError("lost")

    def loses(rng: random.Random, folder: Path) -> None:
        raise Fault("2 of 3")

    def hangs(rng: random.Random, folder: Path) -> None:
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))

    assert fault_of(ends, "ends", 0) == ""
    assert fault_of(raises, "raises", 0).startswith("KeyError: 'lost': ")
    assert fault_of(mumbles, "mumbles", 0) == "no sentence: 'lost'"
    assert fault_of(loses, "loses", 0) == "2 of 3"
    assert "no end after" in fault_of(hangs, "hangs", 0)


def test_a_seed_is_one_input() -> None:
    drawn: list[list[float]] = []
    for _ in range(2):
        fault_of(lambda rng, folder: drawn.append([rng.random() for _ in range(5)]), "same", 7)
    fault_of(lambda rng, folder: drawn.append([rng.random() for _ in range(5)]), "same", 8)
    assert drawn[0] == drawn[1] != drawn[2]

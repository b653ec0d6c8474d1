"""A command that is killed at random moments and started again until it is done, beside an unbroken run of the same."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
LATER = 0.3
PRELOADED = (
    "regionloss.data.annotate.decode",
    "insighttok_ref.trainers.tokenizer.session",
    "insighttok_ref.trainers.tokenizer.trainer",
)


@dataclass(frozen=True)
class Command:
    """A command under drill.

    Args:
        name: Of the drill.
        words: What is started, for the folder that it writes to; asked again for each start.
        progress: How far it is, in whatever unit; 0 for a folder that is not there.
        outcome: What must be the same in the end: anything that `same` compares.
        same: Whether two outcomes are.
    """

    name: str
    words: Callable[[Path], list[str]]
    progress: Callable[[Path], int]
    outcome: Callable[[Path], Any]
    same: Callable[[Any, Any], bool] = lambda ours, theirs: bool(ours == theirs)


def regionloss(*words: str) -> list[str]:
    """Return the command line of `regionloss`."""
    return [sys.executable, "-m", "regionloss", *words]


def environment() -> dict[str, str]:
    """Return the variables of a run: one thread, this tree, no accelerator."""
    more = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | more


def ended(words: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it wrote on stderr."""
    run = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    return run.returncode, run.stderr


class Run:
    """A command of `regionloss` in a process of its own, forked from one that has imported what takes long.

    Args:
        words: As for a shell.
        log: Gets what it writes.
    """

    def __init__(self, words: list[str], log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.drills.base", *PRELOADED])
        self.log, arguments = log, words[len(regionloss()) :]
        self.process = context.Process(target=serve, args=(arguments, log))
        self.process.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_alive()

    def kill(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, how)

    def end(self) -> tuple[int | None, str]:
        """Wait for its end; return its exit code and what it wrote."""
        self.process.join()
        return self.process.exitcode, self.log.read_text()


def serve(arguments: list[str], log: Path) -> None:
    """Run a command; in a process of its own."""
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the process that forked has put aside
    from regionloss.cli.main import app

    app(arguments, prog_name="regionloss")


def finish(command: Command, out: Path) -> Any:
    """Run a command to its end and return the outcome; raises AssertionError where it fails."""
    code, said = Run(command.words(out), out.with_suffix(".log")).end()
    assert code == 0, f"{command.name}: exit code {code}\n{said}"
    return command.outcome(out)


def kill_at(command: Command, out: Path, far: int, later: float, how: signal.Signals) -> bool:
    """Start a command and kill it when it is so far; return whether it lived until then."""
    run = Run(command.words(out), out.with_suffix(".log"))
    while run.alive and command.progress(out) < far:
        time.sleep(0.005)
    time.sleep(later)
    alive = run.alive
    run.kill(how)
    code, said = run.end()
    assert alive or code == 0, f"{command.name}: exit code {code}\n{said}"
    assert "Traceback" not in said, said
    return alive


def kill_rounds(command: Command, folder: Path, rounds: int, seed: int) -> str:
    """Drill a command; return what to say of it, or raise AssertionError where an end differs from the unbroken one's.

    Args:
        command: Which.
        folder: For its runs.
        rounds: Each with one to three kills.
        seed: Of the moments and the signals.
    """
    whole = finish(command, folder / "whole")
    most, kills, begun = command.progress(folder / "whole"), 0, time.monotonic()
    for number in range(rounds):
        rng, out = random.Random(f"{seed}/{command.name}/{number}"), folder / f"round-{number}"
        for far in sorted(rng.randrange(most) for _ in range(rng.randint(1, 3))):
            kills += kill_at(command, out, far, rng.random() * LATER, rng.choice(SIGNALS))
        assert command.same(finish(command, out), whole), f"{command.name}: round {number} of seed {seed} differs"
    return f"{command.name}: {rounds} rounds, {kills} kills, {time.monotonic() - begun:.0f} s, all as unbroken"

"""`python -m tests.drills`: kill the real commands, fill their disks, and compare the end with an unbroken run's."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.drills.annotate import annotate, fill_disk
from tests.drills.base import environment, kill_rounds
from tests.drills.evaluate import evaluate
from tests.drills.train import ENGINES, engine, fill_checkpoint, fill_report

WHAT = ("annotate", "evaluate", "train", "full-annotate", "full-checkpoint", "full-report")


def drills(what: list[str], engines: list[str], rounds: int, seed: int) -> dict[str, Callable[[Path], str]]:
    """Return the drills that are asked for, each for a folder."""
    found: dict[str, Callable[[Path], str]] = {}
    if "annotate" in what:
        found["annotate"] = lambda folder: kill_rounds(annotate(folder, seed), folder, rounds, seed)
    if "evaluate" in what:
        found["evaluate"] = lambda folder: kill_rounds(evaluate(folder, seed), folder, rounds, seed)
    if "full-annotate" in what:
        found["full-annotate"] = lambda folder: fill_disk(folder, seed)
    for name in engines:
        if "train" in what:
            found[f"train-{name}"] = lambda folder, name=name: kill_rounds(engine(name), folder, rounds, seed)
        if "full-checkpoint" in what:
            found[f"full-checkpoint-{name}"] = lambda folder, name=name: fill_checkpoint(folder, name)
    if "full-report" in what:
        found["full-report"] = fill_report
    return found


def main() -> int:
    """Run the drills; return how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(WHAT)}; all by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    if unknown := set(given.what) - set(WHAT):
        parser.error(f"expected {', '.join(WHAT)}, got {', '.join(sorted(unknown))}")
    os.environ.update(environment())  # before the first process is started
    print(f"seed {given.seed}", flush=True)
    engines = list(ENGINES) if given.engine == "both" else [given.engine]
    failed = 0
    for name, drill in drills(given.what or list(WHAT), engines, given.rounds, given.seed).items():
        with tempfile.TemporaryDirectory(prefix="drill-") as folder:
            try:
                print(drill(Path(folder)), flush=True)
            except PermissionError as error:
                print(f"{name}: left out, {error}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{name}: FAILED: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())

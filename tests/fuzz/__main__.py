"""Feed odd inputs to every door: no bare traceback, no hang, nothing lost in silence.

    python -m tests.fuzz --seeds 10000
    python -m tests.fuzz --subject tars --seed 4711

Each input is a function of its subject and seed. Exit code 1 where one ended otherwise than well or with a sentence.
"""

from __future__ import annotations

import faulthandler
import time
from typing import Annotated

import typer

from tests.fuzz.judging import LONGEST_WAIT, fault_of
from tests.fuzz.subjects import SUBJECTS


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Inputs of each subject.")] = 300,
    subject: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(SUBJECTS)}; repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed; alone with --subject, the only one.")] = None,
) -> None:
    """Feed odd inputs to every door."""
    chosen = subject or list(SUBJECTS)
    if unknown := set(chosen) - set(SUBJECTS):
        raise typer.BadParameter(f"expected names of {', '.join(SUBJECTS)}, got {', '.join(sorted(unknown))}.")
    first, count, faults = seed or 0, 1 if seed is not None and seeds == 300 else seeds, 0
    for name in chosen:
        started, before = time.monotonic(), faults
        for number in range(first, first + count):
            faulthandler.dump_traceback_later(2 * LONGEST_WAIT, exit=True)  # what not even a signal ends
            if fault := fault_of(SUBJECTS[name], name, number):
                faults += 1
                typer.echo(f"{name} --seed {number}: {fault}")
        faulthandler.cancel_dump_traceback_later()
        seconds = time.monotonic() - started
        last = first + count - 1
        typer.echo(f"{name}: seeds {first} to {last}, {faults - before} faults, {seconds:.0f} s")
    raise typer.Exit(1 if faults else 0)


if __name__ == "__main__":
    typer.run(main)

"""What a check found: one line each, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import typer

from regionloss.console.tables import counted, print_table

OK, MISSING, UNTRIED, ADVICE = "ok", "missing", "not tried", "advice"
OTHERS = {UNTRIED: "not tried here", ADVICE: "to think about"}


@dataclass(frozen=True)
class Finding:
    """One line: `ok`, `missing`, `not tried` (on this machine) or `advice`; of which part; and a sentence."""

    state: str
    part: str
    sentence: str


def print_findings(found: Iterable[Finding], *, strict: bool = False) -> int:
    """Print all findings and a last line that counts; return 1 if something required is missing, else 0.

    Args:
        found: What was found, in order.
        strict: Whether what could not be tried, and advice, counts as missing.
    """
    found = list(found)
    print_table("", ["", "part", "what is there, or what to do"], [[f.state, f.part, f.sentence] for f in found])
    counts = {state: sum(f.state == state for f in found) for state in (MISSING, UNTRIED, ADVICE)}
    required = f"{counted(counts[MISSING], 'required thing')} {'is' if counts[MISSING] == 1 else 'are'}"
    others = "".join(f", {counts[state]} {word}" for state, word in OTHERS.items() if counts[state])
    typer.echo(f"\n{required if counts[MISSING] else 'nothing required is'} missing{others}.")
    return int(sum(counts.values()) > 0 if strict else counts[MISSING] > 0)

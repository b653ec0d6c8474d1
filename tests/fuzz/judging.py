"""One seed of a subject: what it makes, done in a folder of its own, and what is wrong with how it ended."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.errors import RegionLossError

#: Seconds of processor time after which an input counts as one that hangs: a busy machine changes nothing about it.
LIMIT = 5.0
#: Seconds by the clock, for what waits and does nothing.
LONGEST_WAIT = 60.0
#: Characters of the longest sentence that anybody reads.
LONGEST = 20_000

#: From random numbers and an empty folder to an end: silence, a RegionLossError, or a Fault.
Subject = Callable[[random.Random, Path], None]


class Fault(Exception):  # noqa: N818
    """What the input came to is wrong, though nothing was raised: something was lost, say."""


class Hang(BaseException):
    """No `except Exception` may keep it."""


class Said(NamedTuple):
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str


def fault_of(subject: Subject, name: str, seed: int) -> str:
    """Return what is wrong with how one seed ends, in a line; empty where nothing is."""
    rng = random.Random(f"{name}/{seed}")
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder,
        at_home(Path(folder) / "home"),
    ):
        try:
            with warnings.catch_warnings(), limited():
                warnings.simplefilter("ignore")
                subject(rng, Path(folder))
        except RegionLossError as error:
            return said_ill(str(error))
        except Fault as fault:
            return str(fault)
        except Hang:
            return f"no end after {LIMIT:g} s: {place_of(traceback.format_exc())}"
        except (Exception, SystemExit) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}: {place_of(traceback.format_exc())}"
    return ""


def command(*words: str) -> Said:
    """Run a command in this process; raise Fault unless it ends well, or with a sentence and an exit code."""
    result = CliRunner().invoke(app, list(words))
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        if isinstance(error, Hang):
            raise error
        where = place_of("".join(traceback.format_exception(error)))
        raise Fault(f"{' '.join(words[:2])}: {type(error).__name__}: {' '.join(str(error).split())[:160]}: {where}")
    if result.exit_code not in (0, 1, 2):
        raise Fault(f"{words[0]}: exit code {result.exit_code}")
    if result.exit_code and (ill := said_ill(result.stderr)):
        raise Fault(f"{words[0]}: {ill}")
    return Said(result.exit_code, result.stdout, result.stderr)


def said_ill(sentence: str) -> str:
    """Return what is wrong with an error's sentence; empty where it may be shown."""
    text = sentence.strip()
    if not text or (not text.endswith((".", "?", "!")) and "Try '" not in text and "╯" not in text):
        return f"no sentence: {text[-160:]!r}"
    if "Traceback (" in text or "[Errno" in text or len(text) > LONGEST:
        return f"no sentence for a user: {len(text)} characters, {text[:160]!r}"
    return ""


def place_of(trace: str) -> str:
    """Return the last line of a traceback that is ours: `file:line`."""
    lines = [line.split('"') for line in trace.splitlines() if line.lstrip().startswith('File "')]
    ours = [line for line in lines if "/site-packages/" not in line[1] and "/lib/python3" not in line[1]]
    mine = [line for line in ours if "/tests/fuzz/" not in line[1]] or ours
    if not mine:
        return "?"
    path, rest = mine[-1][1], mine[-1][2]
    return f"{'/'.join(Path(path).parts[-3:])}:{rest.split('line ')[1].split(',')[0]}"


@contextlib.contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Let regionloss keep in a folder what it keeps."""
    before = os.environ.get("REGIONLOSS_HOME")
    os.environ["REGIONLOSS_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("REGIONLOSS_HOME")
        if before is not None:
            os.environ["REGIONLOSS_HOME"] = before


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise Hang in what takes longer than LIMIT."""

    def stop(*_: object) -> None:
        raise Hang

    clocks = ((signal.ITIMER_PROF, signal.SIGPROF, LIMIT), (signal.ITIMER_REAL, signal.SIGALRM, LONGEST_WAIT))
    before = [signal.signal(number, stop) for _, number, _ in clocks]
    for clock, _, seconds in clocks:
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        for (clock, number, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(number, handler)

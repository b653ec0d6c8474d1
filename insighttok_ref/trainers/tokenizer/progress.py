"""What the user sees: one bar over the whole run with the time left; plain lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from insighttok_ref.trainers.tokenizer.plan import Part, Stretch

LINES_A_PART = 10  # at least: a part of days says something every few minutes
SECONDS_A_LINE = 300.0
TERMS_COST = 2.0  # a step with region terms against one without, until it has been measured
Kind = tuple[bool, int]  # of a part's steps: with region terms or without, and the side of the images


class TimeLeft:
    """Estimates how long a run still takes, from the steps that it has done.

    Args:
        parts: Parts that are still to be trained.
        afterwards: Seconds that what follows training is thought to take.
    """

    def __init__(self, parts: Sequence[Part[Stretch]], afterwards: float = 0.0) -> None:
        self.parts, self.afterwards = parts, afterwards
        self.rates: dict[Kind, float] = {}
        self.counts: dict[Kind, int] = {}

    def note(self, part: Part[Stretch], seconds: float) -> None:
        """Learn from one step; a moving mean over some 50 steps, so that one slow step does not jump."""
        key = kind_of(part)
        self.counts[key] = self.counts.get(key, 0) + 1
        share = max(0.02, 1 / self.counts[key])
        self.rates[key] = (1 - share) * self.rates.get(key, 0.0) + share * seconds

    def seconds(self, part: Part[Stretch], step: int) -> float:
        """Return the seconds left after `step` steps of `part`."""
        left = self._rate(part) * (part.phase.steps - step) + self.afterwards
        later = self.parts[self.parts.index(part) + 1 :]
        return left + sum(self._rate(p) * p.phase.steps for p in later)

    def _rate(self, part: Part[Stretch]) -> float:
        key = kind_of(part)
        if key in self.rates or not self.rates:
            return self.rates.get(key, 0.0)
        nearest = min(self.rates, key=lambda known: (known[1] != key[1], known[0] != key[0]))
        pixels = (key[1] / nearest[1]) ** 2 if nearest[1] else 1.0
        return self.rates[nearest] * pixels * TERMS_COST ** (key[0] - nearest[0])


def kind_of(part: Part[Stretch]) -> Kind:
    """Return what decides how long a step of a part takes."""
    return bool(part.terms), part.image_size


class RunProgress:
    """Shows a run.

    Args:
        parts: Those still to do.
        console: Where to print; a terminal gets a bar, all else lines.
        quiet: Print nothing: another rank does.
    """

    def __init__(self, parts: Sequence[Part[Stretch]], console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(quiet=quiet)
        self.left = TimeLeft(parts)
        self.began = self.last = self.told = time.monotonic()
        self.current: Part[Stretch] | None = None
        self.loss, self.read = float("nan"), 0
        bar = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"))
        self.bar = Progress(*bar, console=self.console, disable=quiet or not self.console.is_terminal)
        self.task = self.bar.add_task("", total=1.0, left="")

    def __enter__(self) -> RunProgress:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def say(self, sentence: str) -> None:
        """Print a line, above the bar where there is one."""
        self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def step(self, part: Part[Stretch], done: int, loss: float | None, images: int = 0) -> None:
        """Show that `done` steps of `part` are done.

        Args:
            part: The part that is trained.
            done: Number of the part's steps that are done.
            loss: The last step's; None where it was not read.
            images: Images in a step, over all ranks; 0 shows no speed.
        """
        now = time.monotonic()
        if self.current == part:  # the first step of a part also waits for its preparation
            self.left.note(part, now - self.last)
        self.current, self.last = part, now
        self.loss, self.read = (self.loss, self.read) if loss is None else (loss, done)
        left = self.left.seconds(part, done)
        shown = "" if math.isnan(self.loss) else f"  loss {self.loss:.4f}"  # none was read yet, as after a stop
        shown += f" at {self.read}" if shown and self.read != done else ""
        text = f"{part.name} {done}/{part.phase.steps}{shown}"
        if images and (seconds := self.left.rates.get(kind_of(part))):
            text += f"  {images / seconds:.3g} images/s"
        if self.console.is_terminal:
            share = (now - self.began) / max(now - self.began + left, 1e-9)
            self.bar.update(self.task, description=text, completed=share, left=f"about {minutes(left)} left")
        elif done % max(1, part.phase.steps // LINES_A_PART) == 0 or now - self.told >= SECONDS_A_LINE:
            self.told = now
            self.say(f"{text}  about {minutes(left)} left")

    def stage(self, text: str, left: float) -> None:
        """Show what follows training."""
        elapsed = time.monotonic() - self.began
        share = elapsed / max(elapsed + left, 1e-9)
        self.bar.update(self.task, description=text, completed=share, left=f"about {minutes(left)} left")
        if not self.console.is_terminal:
            self.say(text)


def minutes(seconds: float) -> str:
    """Return `3 h 20 min`, `2 min 5 s` or `40 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"

"""A look at a few steps with torch's profiler: what takes their time, as a trace and as a table."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from torch import profiler

from insighttok_ref.schema import Strict
from regionloss.errors import reason_of

#: Operations that the table has.
ROWS = 40


class ProfileOptions(Strict):
    """Steps of the run that torch's profiler watches, on the first rank; they take longer, and change nothing else.

    Args:
        from_: The first of them, counted over all phases from 0. Early ones also wait for data, memory and compilers.
        steps: Number of steps that are watched.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=False, validate_by_alias=True)

    from_: NonNegativeInt = Field(default=20, alias="from")
    steps: PositiveInt = 5


class StepProfiler:
    """Watches the steps of a run that its options name, and writes what they took.

    Args:
        options: Steps that are watched; None for none of them.
        folder: Folder of the run; `profile/` in it gets a trace for Perfetto and a table of the longest operations.
        say: Told where they are.
    """

    def __init__(self, options: ProfileOptions | None, folder: Path, say: Callable[[str], None]) -> None:
        self.options, self.folder, self.say = options, folder / "profile", say
        self.watching: profiler.profile | None = None
        self.first = self.last = 0

    def before(self, step: int) -> None:
        """Begin or end where a step of the run is the next one; called again and again, as steps go by."""
        if self.options is None:
            return
        self.last = step - 1
        if self.watching is None and step == self.options.from_:
            self.first = step
            self.watching = profiler.profile(activities=profiler.supported_activities(), acc_events=True)
            self.watching.start()
        elif self.watching is not None and step >= self.first + self.options.steps:
            self.close()

    def close(self) -> None:
        """End, and write what was watched so far."""
        watched, self.watching = self.watching, None
        if watched is None:
            return
        watched.stop()
        if self.last < self.first:
            return
        place = self.folder / f"steps-{self.first:08d}-{self.last:08d}.json.gz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            watched.export_chrome_trace(str(place))
            table = place.with_name(place.name.replace(".json.gz", ".txt"))
            table.write_text(longest(watched), encoding="utf-8")
        except (OSError, RuntimeError) as error:  # no reason to lose a training
            warnings.warn(f"log.profile: nothing written to {self.folder}: {reason_of(error)}", stacklevel=2)
            return
        self.say(f"profile of steps {self.first} to {self.last}: {table}, and {place.name} for ui.perfetto.dev")


def longest(watched: profiler.profile) -> str:
    """Return a table of the operations that took longest by themselves, on the accelerator where there is one."""
    device = "device" if torch.accelerator.is_available() else "cpu"
    told: str = watched.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=ROWS)
    return told + "\n"

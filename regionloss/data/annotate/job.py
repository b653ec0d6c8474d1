"""A stage: shards in, files beside them out. Executors know no more of it than this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from regionloss.data.shards.tar_index import Head
from regionloss.errors import InputError, expected

#: Told how many images more are done.
Advance = Callable[[int], None]


def silent(images: int) -> None:
    """Ignore the number of images: nobody watches."""


@dataclass(frozen=True)
class Job:
    """A shard and what is made of it.

    Args:
        shard: Path or address of a tar file or of a folder.
        target: Path or address of the file to write.
    """

    shard: str
    target: str


@dataclass(frozen=True)
class Report:
    """What came of a job.

    Args:
        job: The job that is reported.
        images: How many images the shard holds.
        rows: How many of the shard's images have a row in the target.
        regions: How many the job's own detectors have found, by kind.
        named: How many images are named in the stats, by reason.
        seconds: Time from the job's first image to its end, in seconds.
        failed: Why there is no target; empty where there is one.
        head: Facts of the shard that are to be told.
        damage: What was wrong with the target that was there, and what became of it; empty where nothing was.
    """

    job: Job
    images: int = 0
    rows: int = 0
    regions: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    failed: str = ""
    head: Head = field(default_factory=lambda: Head(0))
    damage: str = ""


class Stage(Protocol):
    """Does jobs one after another, and may prepare the next while it is at one."""

    def __call__(self, jobs: Iterable[Job], tick: Advance) -> Iterator[Report]:
        """Yield a report for each job, in order; a shard that cannot be done is a report, not an exception."""
        ...

    def close(self) -> None:
        """End the processes of the stage."""
        ...


#: Makes a stage in the process where it will work; is pickled on its way there.
Build = Callable[[], Stage]


def refuse_memory(jobs: Iterable[Job], option: str, wanted: str, got: str) -> None:
    """Raise InputError where a shard or what is made of it lies in the memory of this process."""
    for path in (path for job in jobs for path in (job.shard, job.target)):
        if path.startswith("memory:"):
            raise InputError(expected(option, f"{wanted}, for what lies in memory", got, f"See {path}."))

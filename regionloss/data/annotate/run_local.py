"""Jobs on one machine: in this process, or in several, each with a stage of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from regionloss.compat.processes import release_semaphores
from regionloss.data.annotate.decode import serve_quietly
from regionloss.data.annotate.job import Advance, Build, Job, Report, Stage, refuse_memory

GRACE = 5.0


def run_here(stage: Stage, jobs: Iterable[Job], tick: Advance) -> Iterator[Report]:
    """Yield reports of jobs done in this process."""
    try:
        yield from stage(jobs, tick)
    finally:
        stage.close()


@dataclass(eq=False)
class Worker:
    """A process, the line to it, and the jobs that it has not reported yet."""

    process: BaseProcess
    line: Connection
    under_way: list[Job] = field(default_factory=list)


def run_apart(builds: Sequence[Build], jobs: Sequence[Job], tick: Advance) -> Iterator[Report]:
    """Yield reports of jobs done in several processes; a process takes its next job when it is ready for it.

    The jobs of a process that comes to a sudden end are reported as failed; the others go on.

    Args:
        builds: One a process: what makes its stage.
        jobs: Jobs that are to be done, one a shard.
        tick: Called now and then with a number of images that were done since.
    """
    refuse_memory(jobs, "--workers", "1", str(len(builds)))
    waiting, context = list(reversed(jobs)), multiprocessing.get_context("spawn")
    workers = [started(context, build) for build in builds]
    try:
        while workers:
            for line in wait([worker.line for worker in workers]):
                worker = next(worker for worker in workers if worker.line is line)
                try:
                    what, value = worker.line.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    yield from lost(worker)
                    continue
                if what == "next":
                    hand_out(worker, waiting)
                elif what == "images":
                    tick(value)
                elif what == "error":
                    raise value
                else:
                    worker.under_way.remove(value.job)
                    yield value
        for job in reversed(waiting):
            yield Report(job, failed=f"{job.shard}: no process is left that could take it.")
    finally:
        for worker in workers:
            worker.line.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join(GRACE)


def started(context: Any, build: Build) -> Worker:
    """Start a process that does jobs."""
    ours, theirs = context.Pipe()
    # Not a daemon: it has decoding processes of its own. It ends with this one all the same.
    process = context.Process(target=serve, args=[build, theirs])
    process.start()
    theirs.close()
    return Worker(process, ours)


def hand_out(worker: Worker, waiting: list[Job]) -> None:
    """Give a process its next job, or None where there is none."""
    job = waiting.pop() if waiting else None
    with suppress(OSError):
        worker.line.send(job)
    if job is not None:
        worker.under_way.append(job)


def lost(worker: Worker) -> Iterator[Report]:
    """Yield reports of the jobs that a process has left undone."""
    worker.process.join(GRACE)
    for job in worker.under_way:
        reason = f"the process that was at it came to a sudden end ({worker.process.exitcode})"
        yield Report(job, failed=f"{job.shard}: {reason}. Run the command again.")


def serve(build: Build, line: Connection) -> None:
    """Do jobs as they come, in a process of its own."""
    serve_quietly()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    def jobs() -> Iterator[Job]:
        while True:
            line.send(("next", None))
            job = line.recv()
            if job is None:
                return
            yield job

    try:
        stage = build()
        for report in run_here(stage, jobs(), lambda images: line.send(("images", images))):
            line.send(("report", report))
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:
        line.send(("error", error))
    finally:
        line.close()
        release_semaphores()
        # All is written and told: no waiting for what threads and processes of the stage may still be at.
        os._exit(0)

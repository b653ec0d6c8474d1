"""Jobs on a Ray cluster: actors hold the stages, and Ray says where they are."""

from __future__ import annotations

import os
import platform
import re
import socket
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from regionloss.data.annotate.job import Job, Report, Stage, refuse_memory, silent
from regionloss.errors import InputError, LostProcessError, RegionLossError, expected, reason_of

TRIES = 3
LOOK, REACH = 10.0, 10.0
AGAIN = "Run the command again."

#: Makes the stage of an actor on the actor's node, from its number of processors there; it is pickled on its way.
BuildThere = Callable[[int], Stage]


class Handout:
    """Gives jobs to actors and knows which actor has which; an actor itself, as a stage asks for its next job early.

    What was under way in an actor that was lost is done again, and alone: a shard that kills takes no other with it.

    Args:
        jobs: Jobs that are to be done, one a shard.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.waiting, self.again = deque(jobs), deque[Job]()
        self.under_way: dict[int, list[Job]] = defaultdict(list)
        self.losses: Counter[Job] = Counter()
        self.gone: set[int] = set()

    def take(self, number: int) -> Job | None:
        """Return the next job of an actor; None where none is left, or where the actor should do no further one."""
        mine = self.under_way[number]
        queue = self.again if self.again and not mine else self.waiting
        if not queue or number in self.gone or any(self.losses[job] for job in mine):
            return None
        mine.append(queue.popleft())
        return mine[-1]

    def done(self, number: int, job: Job) -> None:
        """Note that an actor has reported a job."""
        self.under_way[number].remove(job)

    def lost(self, number: int) -> tuple[list[Job], list[Job]]:
        """Note that an actor is lost; return its jobs that are given up, and those that are done again."""
        self.gone.add(number)  # What it asked for last may come only now.
        jobs = self.under_way.pop(number, [])
        self.losses.update(jobs)
        again = [job for job in jobs if self.losses[job] < TRIES]
        self.again.extend(again)
        return [job for job in jobs if job not in again], again

    def left(self) -> list[Job]:
        """Return the jobs that are not reported."""
        return [job for jobs in (*self.under_way.values(), self.again, self.waiting) for job in jobs]


class Actor:
    """Does jobs as it is asked for reports; the next shard is read while the stage is at one.

    Args:
        build: Makes the actor's stage, which does the jobs.
        processors: Number of processors that the actor has.
        handout: Where the actor takes its jobs from.
        number: Number of the actor among those of the run, from 0.
    """

    def __init__(self, build: BuildThere, processors: int, handout: Any, number: int) -> None:
        self.build, self.processors, self.handout, self.number = build, processors, handout, number
        self.reports = self.work()

    def next(self) -> Report | None:
        """Return the next report; None where no job is left to take."""
        try:
            return next(self.reports, None)
        except RegionLossError as error:
            raise type(error)(f"on node {platform.node()}: {error}") from error

    def work(self) -> Iterator[Report]:
        """Yield reports until there is no job."""
        import ray

        stage = self.build(self.processors)
        while (first := ray.get(self.handout.take.remote(self.number))) is not None:
            others = iter(lambda: ray.get(self.handout.take.remote(self.number)), None)
            yield from stage(chain([first], others), silent)


class Crew:
    """The actors of a run, seen from where it was started.

    Args:
        build: Makes the stage of an actor.
        jobs: Jobs that are to be done, one a shard.
        needs: What an actor asks for: `num_cpus` and `num_gpus`.
    """

    def __init__(self, build: BuildThere, jobs: Sequence[Job], needs: Mapping[str, int]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray: Any = ray
        self.build, self.needs = build, needs
        # As safe as this process: other nodes may come and go.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.handout: Any = self.ray.remote(Handout).options(num_cpus=0, scheduling_strategy=here).remote(jobs)
        self.calls: dict[Any, tuple[int, Any]] = {}
        self.left, self.hired, self.in_vain = len(jobs), 0, 0

    def hire(self) -> None:
        """Start an actor."""
        kind = self.ray.remote(Actor).options(**self.needs)
        actor = kind.remote(self.build, self.needs["num_cpus"], self.handout, self.hired)
        self.calls[actor.next.remote()] = self.hired, actor
        self.hired += 1

    def reports(self, count: int) -> Iterator[Report]:
        """Yield one report for each job; `count` actors do them."""
        for _ in range(count):
            self.hire()
        while self.left:
            for report in self.answers():
                self.left -= 1
                yield report

    def answers(self) -> Iterator[Report]:
        """Wait until an actor reports or is lost; yield the reports."""
        answered, _ = self.ray.wait(list(self.calls), timeout=LOOK)
        if not answered:
            if not places(self.ray.nodes(), **self.needs):
                for job in self.ray.get(self.handout.left.remote()):
                    yield Report(job, failed=f"{job.shard}: no node is left that could take it. {AGAIN}")
            return
        number, actor = self.calls.pop(answered[0])
        try:
            report = self.ray.get(answered[0])
        except self.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            # An actor whose node goes down may say first that it cannot reach the others.
            if cause is not None and not isinstance(cause, self.ray.exceptions.RayError):
                raise cause from error
            self.ray.kill(actor)  # It may only be out of reach, and its jobs are done by others now.
            yield from self.lost(number, error)
            return
        if report is None:
            self.ray.kill(actor)
            return
        self.in_vain = 0
        self.ray.get(self.handout.done.remote(number, report.job))
        self.calls[actor.next.remote()] = number, actor
        yield report

    def lost(self, number: int, error: Exception) -> Iterator[Report]:
        """Take another actor for one that came to a sudden end; yield reports of the jobs that are given up."""
        given_up, again = self.ray.get(self.handout.lost.remote(number))
        self.in_vain = 0 if given_up or again else self.in_vain + 1
        if self.in_vain == TRIES:
            reason = re.sub(r"\x1b\[\d+m", "", str(error)).strip().splitlines()[-1]
            got = f"{TRIES} that came to a sudden end before they had a job ({reason})"
            raise LostProcessError(expected("--engine ray", "actors that start", got))
        self.hire()
        for job in given_up:
            reason = f"each of {TRIES} actors that were at it came to a sudden end"
            yield Report(job, failed=f"{job.shard}: {reason}. {AGAIN}")

    def dismiss(self) -> None:
        """End the actors, also those that are at work."""
        for actor in (self.handout, *(actor for _, actor in self.calls.values())):
            self.ray.kill(actor)


def run_on_ray(
    build: BuildThere, jobs: Sequence[Job], workers: int = 0, cpus: int = 1, gpus: bool | None = None
) -> Iterator[Report]:
    """Yield reports of jobs done by actors, as they come; what was under way in an actor that is lost is done again.

    Args:
        build: Makes the stage of an actor; it is pickled.
        jobs: Jobs that are to be done; their paths must be seen from all nodes.
        workers: Actors; 0 takes one a GPU of the cluster, or as many as its processors serve.
        cpus: Processors that an actor has use for.
        gpus: Whether an actor has a GPU; None for where the cluster has some.

    Raises:
        InputError: Ray is not installed, no cluster is there, or it has not what the actors need.
        LostProcessError: Actors do not start, or the cluster is lost.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(expected("--engine ray", "Ray", "none", "pip install 'regionloss[ray]'.")) from error
    refuse_memory(jobs, "--engine", "local", "ray")
    begun = not ray.is_initialized()
    if begun:
        reach(os.environ.get("RAY_ADDRESS", ""))
        # Follows RAY_ADDRESS; without it, a cluster of this machine.
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        needs, count = room(ray.nodes(), len(jobs), workers, cpus, gpus)
        crew = Crew(build, jobs, needs)
        try:
            yield from crew.reports(count)
        finally:
            crew.dismiss()
    except ray.exceptions.RayError as error:
        got = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        raise LostProcessError(expected("--engine ray", "a cluster that stays", got, AGAIN)) from error
    finally:
        if begun:
            ray.shutdown()


def reach(address: str) -> None:
    """Raise InputError where nothing answers at the address of a cluster: Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except OSError as error:
        advice = "Start it with 'ray start --head', or unset RAY_ADDRESS for one of this machine."
        got = f"'{address}', where none answers ({reason_of(error)})"
        raise InputError(expected("RAY_ADDRESS", "the address of a cluster", got, advice)) from error


def room(
    nodes: Sequence[Mapping[str, Any]], jobs: int, workers: int, cpus: int, gpus: bool | None
) -> tuple[dict[str, int], int]:
    """Return what an actor asks for, and how many of them are started: as many as fit, with what they can use.

    Args:
        nodes: Nodes of the cluster, as Ray lists them.
        jobs: Number of jobs that are to be done.
        workers: Actors; 0 leaves it to the cluster.
        cpus: Processors that an actor has use for.
        gpus: Whether it has a GPU; None for where there are some.

    Raises:
        InputError: So many do not fit.
    """
    there = [node["Resources"] for node in nodes if node["Alive"]]
    if gpus is None:
        gpus = any(resources.get("GPU", 0) >= 1 for resources in there)
    each = int(gpus)
    most = places(nodes, 1, each)
    if not most:
        wanted, advice = ("nodes with a GPU", "Say --device cpu.") if gpus else ("nodes with processors", "")
        raise InputError(expected("--engine ray", wanted, f"{len(there)} without", advice))
    served = most if gpus else sum(-(-int(resources.get("CPU", 0)) // cpus) for resources in there)
    count = min(workers or served, jobs)
    if count > most:
        raise InputError(expected("--workers", f"at most {most}, for which the cluster has room", str(count)))
    share = next(share for share in range(cpus, 0, -1) if places(nodes, share, each) >= count)
    return {"num_cpus": share, "num_gpus": each}, count


def places(nodes: Sequence[Mapping[str, Any]], num_cpus: int, num_gpus: int) -> int:
    """Return how many actors that ask for so much fit on the nodes that are alive, each on one of them."""
    there = [node["Resources"] for node in nodes if node["Alive"]]
    if num_gpus:
        return sum(int(min(one.get("CPU", 0) // num_cpus, one.get("GPU", 0) // num_gpus)) for one in there)
    return sum(int(one.get("CPU", 0) // num_cpus) for one in there)

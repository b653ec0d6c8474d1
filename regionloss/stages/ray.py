"""Jobs on a Ray cluster: actors hold the detectors, and Ray says where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import InputError, RegionLossError, expected
from .base import Build, Job, Report, silent

RESTARTS = 3


class Actor:
    """Does one job at a time.

    Args:
        build: Makes its stage.
    """

    def __init__(self, build: Build) -> None:
        self.stage = build()

    def do(self, job: Job) -> Report:
        """Return the report of a job."""
        return next(iter(self.stage([job], silent)))


def run_on_ray(build: Build, jobs: Sequence[Job], workers: int = 0, cpus: int = 1) -> Iterator[Report]:
    """Yield reports of jobs done by actors, as they come; a lost actor is started anew and its job is done again.

    Args:
        build: Makes a stage; pickled.
        jobs: To be done.
        workers: Actors; 0 takes one a GPU of the cluster, or as many as its processors serve.
        cpus: Processors of an actor: its detectors' and its decoding processes'.

    Raises:
        InputError: Ray is not installed, or the cluster has not what an actor needs.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as error:
        raise InputError(expected("--engine ray", "Ray", "none", "pip install 'regionloss[ray]'.")) from error
    begun = not ray.is_initialized()
    if begun:
        # Follows RAY_ADDRESS; without it, a cluster of this machine.
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        needs, count = room(dict(ray.cluster_resources()), cpus)  # type: ignore[no-untyped-call]
        kind = ray.remote(Actor).options(max_restarts=RESTARTS, max_task_retries=RESTARTS, **needs)
        actors = [kind.remote(build) for _ in range(min(workers or count, len(jobs)))]
        yield from ActorPool(actors).map_unordered(lambda actor, job: actor.do.remote(job), list(jobs))
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, RegionLossError | OSError) else error) from error
    finally:
        if begun:
            ray.shutdown()


def room(resources: dict[str, Any], cpus: int) -> tuple[dict[str, Any], int]:
    """Return what an actor asks for, and how many of them a cluster has room for."""
    graphics, processors = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    if graphics:
        return {"num_gpus": 1, "num_cpus": min(cpus, max(1, processors // graphics))}, graphics
    needed = min(cpus, processors)
    return {"num_cpus": needed}, max(1, processors // max(needed, 1))

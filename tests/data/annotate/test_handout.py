"""Which actors a cluster has room for, and how jobs are handed out to them."""

from __future__ import annotations

import random

import pytest

from regionloss.data.annotate.job import Job
from regionloss.data.annotate.run_ray import Handout, room
from regionloss.errors import InputError

JOBS = [Job(f"{n}.tar", f"{n}.regions.parquet") for n in range(3)]


def nodes(*sizes: tuple[int, int]) -> list[dict[str, object]]:
    """Return nodes of so many processors and GPUs, as Ray lists them, and one that is dead."""
    there = [{"Alive": True, "Resources": {"memory": 1e9, "CPU": float(cpu), "GPU": float(gpu)}} for cpu, gpu in sizes]
    return [*there, {"Alive": False, "Resources": {}}]


@pytest.mark.parametrize(
    ("sizes", "workers", "gpus", "needs", "count"),
    [
        ([(4, 0)] * 4, 0, None, (4, 0), 4),  # no node has the nine that an actor could use
        ([(16, 0)], 0, None, (8, 0), 2),  # not one of nine and seven idle
        ([(0, 0), (64, 8), (64, 8)], 0, None, (8, 1), 16),  # a head without anything
        ([(64, 8)], 4, None, (9, 1), 4),
        ([(64, 8)], 0, False, (8, 0), 8),  # --device cpu leaves the GPUs to others
        ([(2, 0)], 2, None, (1, 0), 2),
        ([(1, 2)], 0, None, (1, 1), 1),
    ],
)
def test_actors_ask_for_what_a_node_has(sizes, workers, gpus, needs, count) -> None:
    asked = {"num_cpus": needs[0], "num_gpus": needs[1]}
    assert room(nodes(*sizes), 100, workers, 9, gpus) == (asked, count)


def test_all_actors_find_a_node_and_could_not_ask_for_more() -> None:
    rng = random.Random(0)

    def placed(sizes: list[tuple[int, int]], cpus: int, gpus: int) -> int:
        """Place actors one by one."""
        free, number = [list(size) for size in sizes], 0
        while node := next((node for node in free if node[0] >= cpus and node[1] >= gpus), None):
            node[0], node[1], number = node[0] - cpus, node[1] - gpus, number + 1
        return number

    for _ in range(200):
        sizes = [(rng.randint(1, 40), rng.choice((0, 0, 1, 4))) for _ in range(rng.randint(1, 5))]
        cpus, jobs = rng.randint(1, 9), rng.randint(1, 60)
        needs, count = room(nodes(*sizes), jobs, 0, cpus, None)
        assert 1 <= count <= jobs
        assert placed(sizes, **{name.removeprefix("num_"): value for name, value in needs.items()}) >= count
        assert needs["num_cpus"] == cpus or placed(sizes, needs["num_cpus"] + 1, needs["num_gpus"]) < count
        assert needs["num_gpus"] == any(gpu for _, gpu in sizes)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match="--workers: expected at most 4, for which the cluster has room, got 5"):
        room(nodes((1, 0), (3, 0)), 100, 5, 9, None)
    with pytest.raises(InputError, match="--engine ray: expected nodes with a GPU, got 1 without"):
        room(nodes((4, 0)), 100, 0, 9, True)
    with pytest.raises(InputError, match="expected nodes with processors, got 1 without"):
        room(nodes((0, 0)), 100, 0, 9, None)


def test_jobs_of_lost_actors_are_done_again_each_alone_and_given_up_at_last() -> None:
    handout, (a, b, c) = Handout(JOBS), JOBS
    assert [handout.take(0) for _ in range(2)] == [a, b]
    assert handout.lost(0) == ([], [a, b])
    assert handout.take(0) is None  # what it asked for last comes only now
    assert [handout.take(1), handout.take(1)] == [a, None]  # alone, though c waits
    assert handout.take(2) == b
    handout.done(2, b)
    assert [handout.take(2), handout.take(2)] == [c, None]
    assert set(handout.left()) == {a, c}
    handout.done(2, c)
    assert handout.lost(1) == ([], [a])
    assert handout.take(3) == a
    assert handout.lost(3) == ([a], [])
    assert handout.left() == []

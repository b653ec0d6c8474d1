"""The order of samples does not depend on ranks, workers, cuts or stops: compared with one process's plain run."""

from __future__ import annotations

import random
import sys
import time
from itertools import islice

import pytest
import torch
from torchdata.nodes import Loader, Prefetcher

from regionloss.data.batches.batch import Batch, Blend, Mixture, Sample
from regionloss.data.batches.loader import BatchLoader, Share
from regionloss.data.batches.torchdata_node import BatchNode
from regionloss.data.words.render import text_regions
from regionloss.errors import InputError, PluginError, RegionLossError
from regionloss.regions.collation import RegionFilter


class Numbered:
    """Images whose pixels say their number, with `number % 4` boxes in them."""

    def __init__(self, name: str, broken: int = -1) -> None:
        self.name, self.broken = name, broken

    def sample(self, index: int) -> Sample:
        if index == self.broken:
            raise InputError(f"source '{self.name}': broken at {index}.")
        pixels = torch.full((3, 16, 16), index % 256, dtype=torch.uint8)
        boxes = [(2, 1 + 3 * k, 12, 4 + 3 * k) for k in range(index % 4)]
        return Sample(pixels, {"text": text_regions(boxes, ["w"] * len(boxes), (16, 16))}, f"{self.name}/{index}")


RULES = {"text": RegionFilter(min_side=1.0, drop=0.3, per_image=2, choose="random")}


def blend(**options: object) -> Blend:
    return Blend({Numbered("a", **options): 3.0, Numbered("b"): 1.0}, 7, RULES)


def seen(batches: list[Batch]) -> list[tuple[str, list[list[float]]]]:
    """Return for each image where it comes from and its boxes, in order."""
    return [
        (source, batch.regions["text"].boxes[batch.regions["text"].image_index == i].tolist())
        for batch in batches
        for i, source in enumerate(batch.sources)
    ]


def first(loader: BatchLoader, number: int, start: int = 0) -> list[Batch]:
    return list(islice(loader.starting_at(start), number))


def test_two_and_four_ranks_together_see_what_one_sees() -> None:
    steps, whole = 6, seen(first(BatchLoader(blend(), Share(16)), 6))
    for size, micro_batch in ((2, 8), (2, 4), (4, 2), (1, 4)):
        ranks = [BatchLoader(blend(), Share(16, micro_batch, rank, size)) for rank in range(size)]
        accumulation = ranks[0].share.accumulation
        parts = [first(rank, steps * accumulation) for rank in ranks]
        together = [
            batch for s in range(steps) for part in parts for batch in part[s * accumulation : (s + 1) * accumulation]
        ]
        assert seen(together) == whole


@pytest.mark.parametrize("size", [1, 2])
def test_a_run_of_200_steps_stopped_anywhere_goes_on_with_another_number_of_workers(size: int) -> None:
    rng, steps = random.Random(size), 200
    for rank in range(size):
        share = Share(8, 2, rank, size)
        unbroken = seen(first(BatchLoader(blend(), share), steps * share.accumulation))
        stop = rng.randrange(1, steps) * share.accumulation
        before, after = BatchLoader(blend(), share, workers=2), BatchLoader(blend(), share, workers=1, prefetch=3)
        got = first(before, stop) + first(after, steps * share.accumulation - stop, stop)
        assert seen(got) == unbroken


def test_batches_of_workers_are_those_made_here() -> None:
    here, there = (first(BatchLoader(blend(), Share(4), workers=n), 5) for n in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.pixels.dtype == other.pixels.dtype == torch.uint8
        assert one.images.dtype == torch.float32
        assert one.dropped == other.dropped
        assert one.regions["text"].layout is not None
        assert torch.equal(one.regions["text"].layout.slot, other.regions["text"].layout.slot)


def test_workers_are_slower_than_one_another_and_still_in_order() -> None:
    class Uneven(Numbered):
        def sample(self, index: int) -> Sample:
            time.sleep(0.03 if index % 5 == 0 else 0)
            return super().sample(index)

    batches = first(BatchLoader(Blend({Uneven("a"): 1.0}, 0), Share(1), workers=2), 12)
    assert [batch.sources for batch in batches] == [(f"a/{i}",) for i in range(12)]


def test_state_dict_counts_what_was_delivered() -> None:
    loader = BatchLoader(blend(), Share(4), workers=2)
    batches = list(islice(iter(loader), 3))
    state = loader.state_dict()
    other = BatchLoader(blend(), Share(4))
    other.load_state_dict(state)
    assert seen(batches + list(islice(iter(other), 3))) == seen(first(BatchLoader(blend(), Share(4)), 6))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_source_says_arrives_as_it_was_said(workers: int) -> None:
    loader = BatchLoader(blend(broken=9), Share(2), workers=workers)
    with pytest.raises(InputError, match=r"^source 'a': broken at 9\.$"):
        first(loader, 20)


def test_a_worker_that_dies_is_a_sentence() -> None:
    class Dying(Numbered):
        def sample(self, index: int) -> Sample:
            import os

            os._exit(3) if index == 4 else None
            return super().sample(index)

    loader = BatchLoader(Blend({Dying("a"): 1.0}, 0), Share(1), workers=1)
    with pytest.raises(RegionLossError, match="loader: expected all workers to live"):
        first(loader, 8)


def test_without_torchdata_there_are_batches_but_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchdata.stateful_dataloader", None)
    assert len(first(BatchLoader(blend(), Share(4)), 2)) == 2
    with pytest.raises(PluginError, match=r"pip install 'regionloss\[data\]'"):
        first(BatchLoader(blend(), Share(4), workers=1), 2)


def test_the_quickstarts_mixture_serves_too() -> None:
    mixture = Mixture({Numbered("a"): 1.0, Numbered("b"): 1.0}, 20, 0)
    assert seen(first(BatchLoader(mixture, Share(5)), 6)) == seen([mixture.batch(step, 5) for step in range(6)])


@pytest.mark.parametrize("given", [(8, 3, 0, 1), (8, 4, 0, 4), (0, None, 0, 1), (8, 0, 0, 1), (8, 4, 2, 2)])
def test_batches_that_cannot_be_cut_are_refused(given: tuple[int, int | None, int, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        Share(*given)


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (0, 3), (2, 2)])
def test_a_pipeline_of_torchdatas_nodes_stopped_anywhere_goes_on_where_it_was(workers: int, ahead: int) -> None:
    def pipeline(workers: int) -> Loader[Batch]:
        node = BatchNode(BatchLoader(blend(), Share(8, 4, 1, 2), workers=workers))
        return Loader(Prefetcher(node, prefetch_factor=ahead))

    wanted = seen(first(BatchLoader(blend(), Share(8, 4, 1, 2)), 12))
    begun, resumed = pipeline(workers), pipeline(1 if workers else 0)
    batches = iter(begun)
    before = list(islice(batches, 5))
    resumed.load_state_dict(begun.state_dict())
    assert seen(before + list(islice(iter(resumed), 7))) == wanted
    assert seen(before + list(islice(batches, 7))) == wanted

"""Stripes: a rank reads shards of its own alone, and batches are the same on any number of ranks."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from insighttok_ref.data.build import TrainingData, build_training_data
from insighttok_ref.data.options import DataOptions
from regionloss.data.batches import Blend, Stripes
from regionloss.errors import InputError
from tests.data.shards.test_shards import png, write_tar

SHARDS, IMAGES, BATCH = 4, 5, 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    for shard in range(SHARDS):
        members = {f"{shard}-{image}.png": png(10 * shard + image) for image in range(IMAGES)}
        write_tar(tmp_path / f"{shard}.tar", members)
    return tmp_path


def data(folder: Path, stripes: int, **options: object) -> TrainingData:
    sources = {"a": {"images": f"{folder}/*.tar"}, "words": {"render": {"font_sizes": [9, 14]}, "share": 0.0}}
    made = {"image_size": 32, "workers": 0, "sources": sources, "stripes": stripes, **options}
    return build_training_data(DataOptions.model_validate(made))


def drawn(found: TrainingData, steps: int, rank: int = 0, ranks: int = 1, micro: int = 2, **mix: float) -> list[str]:
    share = {"batch_size": BATCH, "micro_batch": micro, "rank": rank, "size": ranks}
    batches = found.batches(mix or {"a": 1}, seed=3, **share).starting_at(0)
    return [name for batch in islice(batches, steps * BATCH // ranks // micro) for name in batch.sources]


@pytest.mark.parametrize("stripes", [2, 4])
def test_a_rank_reads_its_own_shards_alone_and_each_image_once_an_epoch(folder: Path, stripes: int) -> None:
    """Of two ranks over three epochs; a rank has half of the shards, ten images, and four of them in a batch."""
    shards = []
    for rank in (0, 1):
        names = drawn(data(folder, stripes), 15, rank, 2)
        assert len(names) == 60
        shards.append({name.removeprefix("a/").partition("-")[0] for name in names})
        assert set(Counter(names).values()) == {60 // (SHARDS // 2 * IMAGES)}
    assert [len(own) for own in shards] == [2, 2]
    assert not shards[0] & shards[1]


def test_batches_are_the_same_on_any_number_of_ranks(folder: Path) -> None:
    steps, mix = 4, {"a": 0.75, "words": 0.25}
    alone = drawn(data(folder, 4), steps, **mix)
    assert any(name.startswith("words/") for name in alone)
    for ranks in (2, 4):
        apart = [drawn(data(folder, 4), steps, rank, ranks, 1, **mix) for rank in range(ranks)]
        own = BATCH // ranks
        joint = [name for step in range(steps) for names in apart for name in names[step * own : (step + 1) * own]]
        assert joint == alone


def test_one_stripe_is_the_order_without_stripes(folder: Path) -> None:
    made = data(folder, 1)
    order = made.order({"a": 1.0}, 3, 32, BATCH)
    assert isinstance(order, Blend)
    plain = Blend({made.opened["a"].train(32, 3): 1.0}, 3)
    assert drawn(made, 3) == [plain.at(position).source for position in range(3 * BATCH)]


def test_what_is_drawn_goes_on_anywhere(folder: Path) -> None:
    order = data(folder, 2).order({"a": 1.0}, 3, 32, BATCH)
    assert isinstance(order, Stripes)
    forth = [order.at(position).source for position in range(40)]
    again = data(folder, 2).order({"a": 1.0}, 3, 32, BATCH)
    assert [again.at(position).source for position in reversed(range(40))][::-1] == forth


class Distant(Blend):
    """Notes what it is asked to fetch."""

    def read_ahead(self, positions: object) -> None:
        self.asked = list(positions)  # type: ignore[call-overload]


def test_each_stripe_fetches_what_it_gives(folder: Path) -> None:
    source = data(folder, 1).opened["a"].train(32, 0)
    orders = [Distant({source: 1.0}, seed) for seed in (0, 1)]
    Stripes(orders, BATCH).read_ahead(range(10, 14))  # of the second batch: two of each stripe
    assert [order.asked for order in orders] == [[6, 7], [4, 5]]


def test_what_cannot_be_cut_is_a_sentence(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"data\.sources\.a: images: expected 5 shards at least, .*data\.stripes, got 4"
    ):
        data(folder, 5)
    with pytest.raises(ValueError, match="expected stripes 1 where an epoch is kept, got 2"):
        data(folder, 2, epoch=8)
    with pytest.raises(InputError, match="batch_size: expected a multiple of 3 stripes, got 8"):
        data(folder, 3).batches({"a": 1}, seed=0, batch_size=8)

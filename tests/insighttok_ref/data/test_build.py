"""Recipes' data -> batches: mixes, what is missing, and the same order on any ranks."""

from __future__ import annotations

import os
import random
import tarfile
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from insighttok_ref.data.build import TrainingData, build_training_data
from insighttok_ref.data.options import DataOptions
from insighttok_ref.data.render_shards import Rendering, render_shards
from regionloss.data.words.render import TextStyle
from regionloss.errors import InputError, UnknownNameError


def picture(shade: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (shade, 2 * shade % 256, 255 - shade))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    (tmp_path / "photos").mkdir()
    for i in range(6):
        picture(10 * i).save(tmp_path / "photos" / f"{i}.png")
    for shard in range(3):
        with tarfile.open(tmp_path / f"{shard:05d}.tar", "w") as archive:
            for i in range(6):
                archive.add(tmp_path / "photos" / f"{i}.png", f"{shard}-{i}.png")
    return tmp_path


def data(sources: dict[str, Any], **options: Any) -> TrainingData:
    return build_training_data(DataOptions(image_size=32, workers=0, sources=sources, **options))


def test_a_mix_of_shards_a_folder_and_words(home: Path) -> None:
    made = data(
        {
            "shards": {"images": str(home / "{00000..00002}.tar")},
            "photos": {"images": str(home / "photos")},
            "words": {"render": {"font_sizes": [9, 14]}},
        }
    )
    batches = list(
        islice(made.batches({"shards": 2, "words": 1, "photos": 1}, seed=0, batch_size=20).starting_at(0), 50)
    )
    drawn = [source for batch in batches for source in batch.sources]
    names = [source.partition("/")[0] for source in drawn]
    assert [names.count(n) for n in ("shards", "photos", "words")] == [500, 250, 250]
    shards = [source for source in drawn if source.startswith("shards/")]
    assert all(len(set(shards[18 * e : 18 * e + 18])) == 18 for e in range(500 // 18))
    assert batches[0].images.shape == (20, 3, 32, 32)
    annotated = batches[0].regions["text"].annotated
    assert annotated is not None
    assert [bool(a) for a in annotated] == [name == "words" for name in names[:20]]


def test_ranks_and_micro_batches_change_nothing(home: Path) -> None:
    made = data({"shards": {"images": str(home / "*.tar")}, "words": {"render": {}}})
    one = [s for b in islice(made.batches(None, seed=3, batch_size=8).starting_at(0), 4) for s in b.sources]
    two = [
        islice(made.batches(None, seed=3, batch_size=8, micro_batch=2, rank=r, size=2).starting_at(0), 8)
        for r in range(2)
    ]
    halves = [[s for b in rank for s in b.sources] for rank in two]
    together = [s for step in range(4) for half in halves for s in half[4 * step : 4 * step + 4]]
    assert together == one


def run(made: TrainingData, first: int, count: int, rank: int = 0, size: int = 1) -> list[tuple[str, list[Any], str]]:
    """Return key, boxes and a hash of the pixels of each image, in order."""
    loader = made.batches(
        {"words": 3, "photos": 1, "shards": 2}, seed=1, batch_size=4, micro_batch=2, rank=rank, size=size
    )
    seen = []
    for batch in islice(loader.starting_at(first), count):
        regions = batch.regions.get("text")
        for i, source in enumerate(batch.sources):
            boxes = [] if regions is None else regions.boxes[regions.image_index == i].tolist()
            seen.append((source, boxes, sha256(batch.images[i].numpy().tobytes()).hexdigest()))
    return seen


def mixed(home: Path, workers: int | None = 0, start: str | None = None) -> TrainingData:
    """Return drawn words with side-cars, plain shards and a folder; regions are dropped and limited at random."""
    rendering = Rendering(48, TextStyle(font_sizes=(9, 14), words=(3, 6)), 3)
    render_shards(rendering, home / "drawn", 30, shard_size=7)
    sources = {
        "words": {"images": str(home / "drawn" / "{00000..00004}.tar"), "regions": str(home / "drawn")},
        "photos": {"images": str(home / "photos")},
        "shards": {"images": str(home / "*.tar")},
    }
    rules = {"text": {"drop": 0.3, "per_image": 2, "choose": "random", "min_side": 2}}
    made = data(sources, filters=rules, augment={"jitter": 0.2})
    return replace(made, options=made.options.model_copy(update={"workers": workers, "start_workers": start}))


def test_200_steps_stopped_and_resumed_with_one_and_two_ranks_and_other_workers(home: Path) -> None:
    alone, helped = mixed(home), mixed(home, workers=2)
    # In a step of four images one rank has two micro-batches, two ranks have one each.
    unbroken = run(alone, 0, 400)
    assert {source.partition("/")[0] for source, _, _ in unbroken} == {"words", "photos", "shards"}
    assert max(len(boxes) for _, boxes, _ in unbroken) == 2
    stop = random.Random(0).randrange(1, 200)
    assert run(alone, 0, 2 * stop) + run(helped, 2 * stop, 400 - 2 * stop) == unbroken
    for rank in range(2):
        mine = [image for step in range(200) for image in unbroken[4 * step + 2 * rank : 4 * step + 2 * rank + 2]]
        assert run(helped, 0, stop, rank, 2) + run(alone, stop, 200 - stop, rank, 2) == mine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot be told how many processors it has")
def test_nobody_says_how_many_workers_and_torch_does_not_warn(home: Path) -> None:
    """It warns of more workers than processors, and warnings are errors here; this process may use one alone."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(every)})
    try:
        asked = mixed(home, workers=None)
        assert asked.batches(None, seed=0, batch_size=2).workers == 1
        assert run(asked, 2, 2) == run(mixed(home), 2, 2)
    finally:
        os.sched_setaffinity(0, every)


def test_workers_that_are_spawned_read_the_same(home: Path) -> None:
    assert run(mixed(home, workers=1, start="spawn"), 7, 6) == run(mixed(home), 7, 6)


def test_sidecars_that_are_missing_are_said_with_the_key(home: Path) -> None:
    with pytest.raises(InputError, match=r"^data\.sources\.mine: regions .*Run 'regionloss annotate'"):
        data({"mine": {"images": str(home / "*.tar"), "regions": str(home)}})


def test_damaged_shards_are_noted(home: Path) -> None:
    whole = (home / "00001.tar").read_bytes()
    (home / "00001.tar").write_bytes(whole[: len(whole) // 2])
    made = data({"mine": {"images": str(home / "*.tar")}})
    assert len(made.notes) == 1
    assert "00001.tar: cannot be read to its end" in made.notes[0]


def test_what_a_mix_may_name(home: Path) -> None:
    made = data({"photos": {"images": str(home / "photos")}, "words": {"render": {}}})
    with pytest.raises(UnknownNameError, match=r"mix\.photo: .*Did you mean 'photos'"):
        made.batches({"photo": 1.0}, seed=0, batch_size=2)
    with pytest.raises(InputError, match="a share above 0"):
        made.batches({"photos": 0.0}, seed=0, batch_size=2)
    with pytest.raises(InputError, match=r"mix\.words: expected a share of 0 or more"):
        made.batches({"photos": 1, "words": -1}, seed=0, batch_size=2)
    with pytest.raises(InputError, match="a multiple of 2 processes x 3 images"):
        made.batches(None, seed=0, batch_size=8, micro_batch=3, size=2)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ("{home}/none.tar", "nothing there"),
        ("{home}/nowhere", "nothing there"),
        ("{home}/none-*.tar", "expected files, got none"),
        ("{home}/empty", "a folder with neither"),
        ("{home}/{{5..2}}.tar", "a range such as"),
        ("{home}/photos/0.png", "one image at least"),
    ],
)
def test_what_is_not_there_is_said_with_its_key(home: Path, images: str, sentence: str) -> None:
    (home / "empty").mkdir()
    with pytest.raises(InputError, match=r"^data\.sources\.mine: .*" + sentence):
        data({"mine": {"images": images.format(home=home)}})


@pytest.mark.parametrize(
    "source",
    [{}, {"images": "x", "render": {}}, {"render": {}, "regions": "y"}, {"packaged": "dogs"}, {"image": "x"}],
)
def test_a_source_is_one_thing(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataOptions(sources={"mine": source})


def test_packaged_photographs() -> None:
    made = data({"own": {"packaged": "photo"}, "faces": {"packaged": "face"}, "words": {"packaged": "text"}})
    batch = next(made.batches(None, seed=0, batch_size=12).starting_at(0))
    assert {source.partition("/")[0] for source in batch.sources} == {"own", "faces", "words"}

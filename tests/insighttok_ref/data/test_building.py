"""Recipes' data -> batches: mixes, what is missing, and the same order on any ranks."""

from __future__ import annotations

import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from insighttok_ref.data.building import TrainingData, build_training_data
from insighttok_ref.data.options import DataOptions
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

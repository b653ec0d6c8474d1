"""Side-cars joined to images: compared with a plain loop over the rows as they were written."""

from __future__ import annotations

import math
import pickle
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from regionloss.data.shards.tar_index import mark_of
from regionloss.data.sidecars.entries import same_aspect
from regionloss.data.sidecars.lookup import Sidecars, check_found, check_kinds
from regionloss.data.sidecars.sidecar import Scan, Sidecar, sidecar_path, write_sidecar
from regionloss.errors import InputError
from regionloss.regions.collation import collate_regions

TEXT, FACE = Scan("text/some", kind="text"), Scan("face/some", kind="face")


def entry(kind: str, rng: random.Random, **more: Any) -> dict[str, Any]:
    x, y = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
    box = [x, y, x + rng.uniform(0.1, 0.4), y + rng.uniform(0.1, 0.4)]
    return {"kind": kind, "box": box, "score": rng.random(), "detector": f"{kind}/some", **more}


def row(key: str, scans: list[Scan], regions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"key": key, "width": 200, "height": 100, "scans": [asdict(scan) for scan in scans], "regions": regions}


def random_rows(count: int) -> list[dict[str, Any]]:
    rng, rows = random.Random(0), []
    for number in range(count):
        scans = rng.choice([[TEXT], [FACE], [TEXT, FACE], []])
        regions = []
        for _ in range(rng.randrange(5) if scans else 0):
            kind = rng.choice(scans).kind
            points = [rng.random() for _ in range(10)] if kind == "face" and rng.random() < 0.8 else None
            text = rng.choice(["word", None]) if kind == "text" else None
            regions.append(entry(kind, rng, keypoints=points, text=text))
        rows.append(row(f"{number:04d}", scans, regions))
    return rows


def write(folder: Path, rows: list[dict[str, Any]], shard: str = "a.tar") -> Sidecars:
    write_sidecar(sidecar_path(str(folder), shard), Sidecar.of(rows))
    return Sidecars(str(folder))


def test_every_row_is_what_a_plain_loop_reads(tmp_path: Path) -> None:
    rows = random_rows(80)
    sidecars = write(tmp_path, rows)
    for given in random.Random(1).sample(rows, len(rows)):
        found, dropped, _ = sidecars("somewhere/a.tar", given["key"], (400, 200))
        assert not dropped
        assert set(found) == {scan["kind"] for scan in given["scans"]}
        for kind, regions in found.items():
            mine = [region for region in given["regions"] if region["kind"] == kind]
            assert len(regions) == len(mine)
            assert regions.image_size == (200, 400)
            for i, region in enumerate(mine):
                x1, y1, x2, y2 = region["box"]
                assert regions.boxes[i].tolist() == pytest.approx([400 * x1, 200 * y1, 400 * x2, 200 * y2], rel=1e-5)
                assert float(regions.scores[i]) == pytest.approx(region["score"])
                if regions.texts is not None:
                    assert regions.texts[i] == (region["text"] or "")
                if region["keypoints"] is not None:
                    points = torch.tensor(region["keypoints"]).reshape(5, 2) * torch.tensor([400.0, 200.0])
                    assert torch.allclose(regions.keypoints[i], points)
                elif regions.keypoints is not None:
                    assert regions.keypoints[i].isnan().all()


def test_rows_collate_into_batches(tmp_path: Path) -> None:
    rows = random_rows(30)
    sidecars = write(tmp_path, rows)
    batch, _ = collate_regions([sidecars("a.tar", given["key"], (100, 50)).regions for given in rows])
    for kind in ("text", "face"):
        looked = [any(scan["kind"] == kind for scan in given["scans"]) for given in rows]
        assert batch[kind].annotated.tolist() == looked
        assert len(batch[kind]) == sum(region["kind"] == kind for given in rows for region in given["regions"])
        assert batch[kind].layout is not None


def test_never_looked_at_is_absent_and_found_nothing_is_empty(tmp_path: Path) -> None:
    sidecars = write(tmp_path, [row("empty", [TEXT, FACE], []), row("text only", [TEXT], [])])
    assert sidecars("a.tar", "no such row", (20, 10)).regions == {}
    assert sidecars("b.tar", "empty", (20, 10)).regions == {}
    both = sidecars("a.tar", "empty", (20, 10)).regions
    assert {kind: len(regions) for kind, regions in both.items()} == {"text": 0, "face": 0}
    assert set(sidecars("a.tar", "text only", (20, 10)).regions) == {"text"}


def test_two_detectors_of_a_kind_add_up_and_kinds_can_be_chosen(tmp_path: Path) -> None:
    rng = random.Random(0)
    second = Scan("text/other", kind="text")
    regions = [entry("text", rng), entry("text", rng, detector="text/other"), entry("face", rng)]
    write(tmp_path, [row("0", [TEXT, second, FACE], regions)])
    assert len(Sidecars(str(tmp_path))("a.tar", "0", (18, 9)).regions["text"]) == 2
    assert set(Sidecars(str(tmp_path), ["face"])("a.tar", "0", (18, 9)).regions) == {"face"}


def test_a_scan_for_several_kinds_speaks_for_each(tmp_path: Path) -> None:
    rng = random.Random(0)
    both = Scan("coco", kind="face,text")
    regions = [entry(kind, rng) | {"detector": "coco"} for kind in ("text", "face", "text")]
    sidecars = write(tmp_path, [row("some", [both], regions), row("empty", [both], regions[:1])])
    assert {kind: len(r) for kind, r in sidecars("a.tar", "some", (20, 10)).regions.items()} == {"face": 1, "text": 2}
    assert {kind: len(r) for kind, r in sidecars("a.tar", "empty", (20, 10)).regions.items()} == {"face": 0, "text": 1}


def test_an_image_of_another_aspect_was_not_looked_at_and_its_regions_are_counted(tmp_path: Path) -> None:
    rng = random.Random(0)
    write(tmp_path, [row("0", [TEXT, FACE], [entry("text", rng), entry("text", rng)])])
    for size in ((100, 200), (200, 200), (200, 97), (50, 27)):
        assert Sidecars(str(tmp_path))("a.tar", "0", size)[:2] == ({}, {"text/aspect": 2})
    assert Sidecars(str(tmp_path), ["face"])("a.tar", "0", (100, 200))[:2] == ({}, {})


def test_resized_copies_keep_the_aspect_and_other_windows_do_not() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        width, height = rng.randint(2, 5000), rng.randint(2, 5000)
        scale = rng.uniform(0.02, 3)
        for rounded in (math.floor, math.ceil, round):
            copy = max(1, rounded(width * scale)), max(1, rounded(height * scale))
            assert same_aspect((width, height), copy)
            assert same_aspect(copy, (width, height))
        # A strip cut off one side is seen where rounding that side by a pixel, in the copy, could not explain it.
        cut = rng.randint(1, 200)
        assert same_aspect((width + cut, height), (width, height)) == (cut * height <= max(width + cut, height))


def test_entries_that_are_no_boxes_are_dropped_and_counted(tmp_path: Path) -> None:
    rng, nan = random.Random(0), float("nan")
    bad: list[list[float]] = [
        [0.1, 0.1, 1e38, 0.3],
        [0.5, 0.1, 0.2, 0.3],
        [0.1, 0.1, nan, 0.3],
        [1.2, 0.1, 1.5, 0.3],
        [-0.5, 0.1, -0.2, 0.3],
        [0, 0.2, 0, 0.5],
    ]
    regions = [entry("face", rng), *({**entry("face", rng), "box": box} for box in bad)]
    regions.append(entry("face", rng) | {"score": nan})
    sidecars = write(tmp_path, [row("0", [FACE], regions)])
    found, dropped, _ = sidecars("a.tar", "0", (20, 10))
    assert len(found["face"]) == 1
    assert dropped == {"face/invalid": 7}


def test_few_sidecars_are_kept_and_none_travels(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path, [row("0", [FACE], [])], f"{number}.tar")
    sidecars = Sidecars(str(tmp_path))
    for number in range(20):
        assert set(sidecars(f"{number}.tar", "0", (18, 9)).regions) == {"face"}
    assert len(sidecars._open) == 8
    assert not pickle.loads(pickle.dumps(sidecars))._open


def test_missing_sidecars_are_said(tmp_path: Path) -> None:
    write(tmp_path, [row("0", [FACE], [])])
    assert check_found(str(tmp_path), ["x/a.tar"]) == []
    assert (
        "1 of 2 shards have no side-car, the first is x/b.tar" in check_found(str(tmp_path), ["x/a.tar", "x/b.tar"])[0]
    )
    with pytest.raises(InputError, match="Run 'regionloss annotate'"):
        check_found(str(tmp_path), ["x/b.tar", "x/c.tar"])


def test_two_shards_with_one_sidecar_are_refused(tmp_path: Path) -> None:
    write(tmp_path, random_rows(1))
    with pytest.raises(InputError, match=r"expected the side-car of one shard, got 'x/a.tar' and 'y/a.tar'"):
        check_found(str(tmp_path), ["x/a.tar", "y/a.tar"])
    assert check_found(str(tmp_path), ["x/a.tar"]) == []


def test_a_shard_that_changed_since_it_was_annotated_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.tar").write_bytes(name.encode() * 100)
    shards = [str(tmp_path / f"{name}.tar") for name in "ab"]
    for shard, mark in zip(shards, (mark_of(shards[0]), ""), strict=True):
        write_sidecar(sidecar_path(str(tmp_path), shard), Sidecar.of([], shard=mark))
    assert check_found(str(tmp_path), shards) == []
    (tmp_path / "a.tar").write_bytes(b"a" * 99 + b"b")
    (tmp_path / "b.tar").write_bytes(b"b" * 99)
    (note,) = check_found(str(tmp_path), shards)
    assert "1 of 2 shards have changed since they were annotated" in note
    assert note.endswith(f"the first is {shards[0]}.")


def test_a_side_car_beside_the_shard_is_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sidecar("photos.regions.parquet", Sidecar.of([]))
    with pytest.raises(InputError, match=r"There is 'photos\.regions\.parquet': say regions: \.$"):
        check_found("photos", ["photos"])
    write_sidecar("data/a.regions.parquet", Sidecar.of([]))
    with pytest.raises(InputError, match=r"say regions: data$"):
        check_found("out", ["data/a.tar"])


def test_an_image_with_text_is_not_mirrored_whatever_kinds_are_wanted(tmp_path: Path) -> None:
    shard = str(tmp_path / "0.tar")
    scans = [asdict(Scan("d", kind="face")), asdict(Scan("t", kind="text"))]
    facts = {"quad": None, "keypoints": None, "score": 1.0, "text": None, "detector": "t"}
    text = {"kind": "text", "box": [0.1, 0.1, 0.5, 0.2], **facts}
    rows = [{"key": k, "width": 50, "height": 40, "scans": scans, "regions": r} for k, r in (("a", [text]), ("b", []))]
    write_sidecar(sidecar_path(str(tmp_path), shard), Sidecar.of(rows))
    joined = Sidecars(str(tmp_path), ["face"])
    assert list(joined(shard, "a", (50, 40)).regions) == ["face"]
    assert not joined(shard, "a", (50, 40)).mirrors
    assert joined(shard, "b", (50, 40)).mirrors


def test_a_kind_that_nobody_looked_for_is_refused(tmp_path: Path) -> None:
    row = {"key": "a", "width": 9, "height": 9, "scans": [asdict(Scan("d", kind="face"))], "regions": []}
    write_sidecar(str(tmp_path / "0.regions.parquet"), Sidecar.of([row]))
    other = row | {"scans": [asdict(Scan("t", kind="text"))]}
    write_sidecar(str(tmp_path / "9.regions.parquet"), Sidecar.of([other]))
    check_kinds(str(tmp_path), ["face", "text"], ["0.tar", "1.tar", "9.tar"])
    with pytest.raises(InputError, match=r"got 'fase'\. Did you mean 'face'\?"):
        check_kinds(str(tmp_path), ["fase"], ["0.tar"])

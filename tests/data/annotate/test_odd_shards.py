"""Shards as they come in the wild: packed, joined, with odd names; and images that could not be looked at at first."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from shards import PLUGIN, drawn, encoded, random_shard, tar_of
from test_annotator import annotate, boxes_of, lines, log, stats_of  # noqa: F401

from regionloss.data.annotate.annotator import Annotate, Annotator
from regionloss.data.annotate.decode import Picture
from regionloss.data.annotate.detectors import NamedDetector
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.work import Work
from regionloss.data.sidecars.entries import entries_of
from regionloss.data.sidecars.formats.rows import Imported
from regionloss.data.sidecars.imports import merge
from regionloss.data.sidecars.sidecar import Scan, Sidecar, read_sidecar, schema, write_sidecar
from regionloss.errors import InputError
from regionloss.regions import Regions

RED = NamedDetector("spots/red")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_a_packed_tar_is_unpacked_and_of_a_cut_one_the_beginning(tmp_path: Path, suffix: str) -> None:
    contents, boxes = random_shard(4, 12)
    packed = gzip.compress(contents, 0)
    (tmp_path / f"whole{suffix}").write_bytes(packed)
    (tmp_path / f"cut{suffix}").write_bytes(packed[: len(packed) // 2])
    whole, cut = annotate([f"{tmp_path}/whole{suffix}", f"{tmp_path}/cut{suffix}"])
    assert boxes_of(read_sidecar(whole.job.target)) == {key: [list(box)] for key, box in boxes.items()}
    assert annotate(f"{tmp_path}/whole{suffix}") == []
    found = boxes_of(read_sidecar(cut.job.target))
    assert 3 < len(found) < 12
    assert found.items() <= {key: [list(box)] for key, box in boxes.items()}.items()
    assert stats_of(cut.job)["problem"].startswith(f"{tmp_path}/cut{suffix}: cannot be read to its end")


def test_joined_tars_and_links_are_named(tmp_path: Path) -> None:
    first, second = random_shard(1, 2)[0], random_shard(2, 2)[0]
    (tmp_path / "joined.tar").write_bytes(first + second)
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w") as archive:
        image = encoded(drawn((40, 40), (2, 2, 9, 9)))
        for name, kind, data in (("a.png", tarfile.REGTYPE, image), ("b.png", tarfile.LNKTYPE, b"")):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "a.png" if kind == tarfile.LNKTYPE else ""
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "linked.tar").write_bytes(contents.getvalue())
    joined, linked = annotate([f"{tmp_path}/joined.tar", f"{tmp_path}/linked.tar"])
    assert (joined.rows, joined.named) == (2, {"shard cut off": 1})
    assert "more follows behind its end" in stats_of(joined.job)["problem"]
    assert stats_of(linked.job)["other_files"] == {"link or device": 1}


def test_images_that_hide_one_another_are_named(tmp_path: Path) -> None:
    image = encoded(drawn((40, 40), (2, 2, 9, 9)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image, "1.mask.png": image, "2.png": image, "README": b""}))
    (report,) = annotate(f"{tmp_path}/a.tar")
    stats = stats_of(report.job)
    assert list(stats["named"]["hidden"]) == ["1"]
    assert stats["other_files"] == {"README": 1}


def test_names_that_are_no_utf8_are_spelled_out(tmp_path: Path) -> None:
    image, odd = encoded(drawn((40, 40), (2, 2, 9, 9))), os.fsdecode(b"caf\xe9")
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        member = tarfile.TarInfo("caf\xe9.png")
        member.size = len(image)
        archive.addfile(member, io.BytesIO(image))
    (tmp_path / "0.tar").write_bytes(contents.getvalue())
    photos = tmp_path / f"photos-{odd}"
    photos.mkdir()
    (photos / f"{odd}.png").write_bytes(image)
    (photos / "notes.txt").write_bytes(b"")
    tar, folder = annotate([f"{tmp_path}/0.tar", str(photos)])
    assert boxes_of(read_sidecar(tar.job.target)) == {r"caf\xe9": [[2, 2, 9, 9]]}
    assert boxes_of(read_sidecar(folder.job.target)) == {r"caf\xe9.png": [[2, 2, 9, 9]]}
    assert stats_of(folder.job)["other_files"] == {".txt": 1}
    assert annotate([f"{tmp_path}/0.tar", str(photos)]) == []


def test_images_that_could_not_be_looked_at_are_looked_at_again_and_alone(tmp_path: Path, log: Path) -> None:  # noqa: F811
    members = {f"{n}.png": encoded(drawn((200, 200) if n % 3 else (60, 60), (1, 1, 9, 9))) for n in range(9)}
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    # The detector fails at small images, as a device might for a while: the same detector, so the same options.
    annotate(f"{tmp_path}/a.tar", NamedDetector("spots/red", {"refuse": 64}))
    before = lines(log)
    (again,) = annotate(f"{tmp_path}/a.tar", NamedDetector("spots/red", {"refuse": 64}))
    assert again.named == {"not looked at": 3}
    assert before < lines(log) < before + 9
    (both,) = annotate(f"{tmp_path}/a.tar", NamedDetector("spots/blue"))
    assert sorted(stats_of(both.job)["named"]["not looked at"]) == ["0", "3", "6"]
    (healed,) = annotate(f"{tmp_path}/a.tar", RED)
    assert healed.named == {}
    assert len(read_sidecar(healed.job.target)) == 9
    assert annotate(f"{tmp_path}/a.tar", RED, NamedDetector("spots/blue")) == []


def test_what_another_detector_could_not_look_at_does_not_fail_a_shard(tmp_path: Path) -> None:
    """Of a folder, four images are new; red had errors at four older ones, which blue looks at."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(8):
        drawn((200, 200) if number < 4 else (60, 60), (1, 1, 9, 9)).save(photos / f"{number}.png")
    blue = NamedDetector("spots/blue")
    (first,) = annotate(str(photos), NamedDetector("spots/red", {"refuse": 64}), blue)
    assert (first.failed, first.named) == ("", {"not looked at": 4})
    for number in range(8, 12):
        drawn((200, 200), (1, 1, 9, 9)).save(photos / f"{number:02d}.png")
    (second,) = annotate(str(photos), blue)
    assert (second.failed, second.named, second.rows) == ("", {"not looked at": 4}, 12)


def test_imported_regions_outlive_a_change_of_the_shard_but_not_of_the_shape(tmp_path: Path) -> None:
    image = encoded(drawn((80, 60), (5, 6, 15, 26)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image, "2.png": image}))
    region = {"kind": "sign", "box": [0.5, 0.5, 1.0, 1.0], "quad": None, "keypoints": None}
    region |= {"score": 1.0, "text": None, "detector": "coco"}
    scan = {"detector": "coco", "version": "", "weights": "", "options": "{}", "kind": "sign"}
    rows = [{"key": k, "width": 80, "height": 60, "scans": [scan], "regions": [region]} for k in "12"]
    write_sidecar(f"{tmp_path}/a.regions.parquet", Sidecar.of(rows, [Scan(**scan)]))
    annotate(f"{tmp_path}/a.tar")
    other = encoded(drawn((60, 80), (5, 6, 15, 26)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image, "2.png": other, "3.png": image}))
    (report,) = annotate(f"{tmp_path}/a.tar")
    found = read_sidecar(report.job.target)
    assert boxes_of(found, "coco") == {"1": [[40, 30, 80, 60]], "2": [], "3": []}
    assert boxes_of(found) == {key: [[5, 6, 15, 26]] for key in "123"}
    assert report.named == {"another shape": 1}
    assert "1 regions of an image of 60 x 80" in stats_of(report.job)["named"]["another shape"]["2"]


def test_a_folder_of_tars_and_images_is_refused_and_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "0.tar").write_bytes(random_shard(1)[0])
    drawn((9, 9)).save(mixed / "preview.png")
    with pytest.raises(InputError, match=r"expected tar files or images, got 1 tar files such as '0\.tar' and 1"):
        jobs_of([str(mixed)])
    assert [job.shard for job in jobs_of([f"{mixed}/*.tar"])] == [f"{mixed}/0.tar"]
    named = tmp_path / "photos [2020]"
    named.mkdir()
    drawn((9, 9)).save(named / "x.jfif", "JPEG")
    assert [job.shard for job in jobs_of([str(named)])] == [str(named)]


def test_regions_that_lie_in_what_fills_an_image_up_are_counted(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (255, 0, 0))
    picture = Picture("a", (40, 40), (40, 40), np.asarray(image), ())
    boxes = torch.tensor([[2.0, 2, 9, 9], [42, 42, 60, 60], [38, 38, 60, 60]])
    found = Regions("sign", boxes, torch.zeros(3).long(), (64, 64), 1)
    ((rows, outside),) = entries_of(found, "spots/red", [picture.shown])
    assert [row["box"] for row in rows] == [[2 / 40, 2 / 40, 9 / 40, 9 / 40], [38 / 40, 38 / 40, 1, 1]]
    assert outside == 1


def stage_of(name: str, **options: object) -> Annotator:
    return Annotate((NamedDetector(f"spots/{name}", options),), (PLUGIN,), decoders=1)()


def look(stage: Annotator, work: Work, numbers: list[int]) -> None:
    stage.look(work, (0,), [found for found in stage.load((work, numbers)) if isinstance(found, Picture)])


def test_two_runs_at_one_shard_keep_what_each_finds(tmp_path: Path) -> None:
    """The second begins before the first has written, ends after it, and cannot read one of its images."""
    image = encoded(drawn((80, 60), (5, 6, 15, 26), (40, 30, 70, 50)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image, "2.png": image}))
    (job,) = jobs_of([f"{tmp_path}/a.tar"])
    stages = [stage_of("red"), stage_of("blue")]
    works = [stage.open(job) for stage in stages]
    for stage, work, numbers in zip(stages, works, ([0, 1], [1]), strict=True):
        look(stage, work, numbers)
        assert stage.finish(work).regions == {stage.detectors[0].kind: len(numbers)}
        stage.close()
    found = read_sidecar(job.target)
    assert boxes_of(found) == {key: [[5, 6, 15, 26]] for key in "12"}
    assert boxes_of(found, "spots/blue") == {"1": [], "2": [[40, 30, 70, 50]]}
    assert annotate(f"{tmp_path}/a.tar", RED) == []
    assert len(annotate(f"{tmp_path}/a.tar", NamedDetector("spots/blue"))) == 1


def test_what_others_wrote_meanwhile_is_newer_than_what_was_there(tmp_path: Path) -> None:
    """Another run with other options, and regions that were imported, while a run is at the shard."""
    image = encoded(drawn((80, 60), (5, 6, 15, 26), (40, 30, 70, 50)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image}))
    annotate(f"{tmp_path}/a.tar", NamedDetector("spots/blue"))
    (job,) = jobs_of([f"{tmp_path}/a.tar"])
    red = stage_of("red")
    work = red.open(job)
    annotate(f"{tmp_path}/a.tar", NamedDetector("spots/blue", {"score": 0.5}))
    imported = Imported("coco", ["sign"])
    imported.add(imported.image("1", 80, 60), "sign", [40, 30, 80, 60])
    merge(job.target, f"{tmp_path}/a.tar", imported)
    look(red, work, [0])
    red.finish(work)
    red.close()
    found = read_sidecar(job.target)
    scores = {region["detector"]: region["score"] for region in found["1"]["regions"]}
    assert scores == {"coco": 1.0, "spots/blue": 0.5, "spots/red": 0.75}
    assert annotate(f"{tmp_path}/a.tar", RED, NamedDetector("spots/blue", {"score": 0.5})) == []


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    drawn((50, 40), (1, 2, 11, 12)).save(photos / "a.png")
    (photos / "z.jpg").symlink_to("nowhere.jpg")
    (report,) = annotate(str(photos))
    assert boxes_of(read_sidecar(report.job.target)) == {"a.png": [[1, 2, 11, 12]]}
    assert list(stats_of(report.job)["named"]["unreadable"]) == ["z.jpg"]
    assert annotate(str(photos)) == []


def test_a_damaged_side_car_is_made_anew_and_kept(tmp_path: Path) -> None:
    contents, boxes = random_shard(6)
    (tmp_path / "a.tar").write_bytes(contents)
    (report,) = annotate(f"{tmp_path}/a.tar")
    target = Path(report.job.target)
    whole = target.read_bytes()
    at = whole.index(b"regionloss.shard") + 40
    broken = whole[:at] + b"\xff" + whole[at + 1 :]
    odd = next(iter(read_sidecar(str(target)).rows())) | {"width": -1}
    write_sidecar(str(target), Sidecar(pa.Table.from_pylist([odd], schema=schema())))
    for damaged in (broken, target.read_bytes(), whole[:-9]):
        target.write_bytes(damaged)
        (report,) = annotate(f"{tmp_path}/a.tar")
        assert boxes_of(read_sidecar(str(target))) == {key: [list(box)] for key, box in boxes.items()}
        assert target.read_bytes() == whole
        (kept,) = (path for path in tmp_path.glob("*.damaged") if path.read_bytes() == damaged)
        assert report.damage.startswith(f"{target}: expected a side-car of regions, got a file that cannot be read (")
        assert f"is kept as {kept}" in report.damage
        assert "imported ones, are in it alone" in report.damage
    assert annotate(f"{tmp_path}/a.tar") == []
    assert len(list(tmp_path.glob("*.damaged"))) == 3


@pytest.mark.parametrize("stats", ["[1]", "{", '{"named": []}', '{"named": {"tiny": {"a": 1}}}', "[" * 9999])
def test_stats_that_cannot_be_read_are_written_anew(tmp_path: Path, stats: str) -> None:
    (tmp_path / "a.tar").write_bytes(random_shard(7, 2)[0])
    (report,) = annotate(f"{tmp_path}/a.tar")
    place = tmp_path / "a.stats.json"
    whole = place.read_text()
    place.write_text(stats)
    Path(report.job.target).unlink()
    annotate(f"{tmp_path}/a.tar")
    assert place.read_text() == whole


def test_images_of_more_pixels_are_looked_at_where_they_are_allowed(tmp_path: Path) -> None:
    small, large = encoded(drawn((60, 40), (2, 2, 9, 9))), encoded(drawn((600, 400), (20, 20, 90, 90)))
    (tmp_path / "a.tar").write_bytes(tar_of({"a.png": small, "b.png": large}))
    jobs = jobs_of([f"{tmp_path}/a.tar"])
    for limit, rows in ((10_000, 1), (300_000, 2)):
        stage = Annotate((RED,), (PLUGIN,), decoders=1, max_pixels=limit)()
        (report,) = stage(jobs, lambda images: None)
        stage.close()
        assert report.rows == rows
        if rows == 1:
            assert "b: expected at most 10,000 pixels" in stats_of(report.job)["named"]["unreadable"]["b"]
            with_more = Annotate((RED,), (PLUGIN,), decoders=1, max_pixels=2**28)()
            assert (stage.finished(report.job), with_more.finished(report.job)) == (True, False)
            with_more.close()

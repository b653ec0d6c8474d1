"""A shard is annotated: what is found and named, and not done twice. The drawn rectangles are the reference."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import fsspec
import pytest
from PIL import Image
from shards import PLUGIN, drawn, encoded, random_shard, tar_of

from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.detectors import NamedDetector
from regionloss.data.annotate.job import Job, Report
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.run_local import run_here
from regionloss.data.sidecars.sidecar import Sidecar, read_sidecar, stats_path, write_sidecar
from regionloss.errors import InputError


def annotate(
    patterns: str | list[str], *detectors: NamedDetector, out: str = "", batch: int = 16, max_side: int = 1600
) -> list[Report]:
    chosen = detectors or (NamedDetector("spots/red"),)
    stage = Annotate(chosen, (PLUGIN,), batch=batch, max_side=max_side, decoders=1)()
    jobs = jobs_of([patterns] if isinstance(patterns, str) else patterns, out)
    return list(run_here(stage, [job for job in jobs if not stage.finished(job)], lambda images: None))


def boxes_of(sidecar: Sidecar, detector: str = "spots/red") -> dict[str, list[list[int]]]:
    """Return each image's boxes in its own pixels."""
    return {
        row["key"]: [
            [round(v * side, 3) for v, side in zip(r["box"], (row["width"], row["height"]) * 2, strict=True)]
            for r in row["regions"]
            if r["detector"] == detector
        ]
        for row in sidecar.rows()
    }


def stats_of(job: Job) -> dict:
    system, inner = fsspec.core.url_to_fs(stats_path(job.target))
    return json.loads(system.cat_file(inner))


def lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPOTS_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("where", ["{tmp}/", "memory://annotate/"])
def test_regions_are_where_they_were_drawn(where: str, batch: int, tmp_path: Path) -> None:
    place = where.format(tmp=tmp_path)
    expected = {}
    for seed in range(2):
        contents, boxes = random_shard(seed, 20)
        system, inner = fsspec.core.url_to_fs(f"{place}{seed:05d}.tar")
        system.pipe_file(inner, contents)
        expected[seed] = boxes
    reports = annotate(f"{place}{{00000..00001}}.tar", out=f"{place}regions-{batch}", batch=batch)
    assert [r.failed for r in reports] == ["", ""]
    for seed, report in enumerate(reports):
        found = read_sidecar(f"{place}regions-{batch}/{seed:05d}.regions.parquet")
        assert boxes_of(found) == {key: [list(box)] for key, box in expected[seed].items()}
        assert list(found.places) == list(expected[seed])
        row = found[next(iter(expected[seed]))]
        x1, y1, x2, y2 = row["regions"][0]["box"]
        assert row["regions"][0]["keypoints"] == pytest.approx([(x1 + x2) / 2, (y1 + y2) / 2], abs=1e-6)
        assert row["regions"][0]["score"] == 0.75
        assert (report.images, report.rows, report.regions) == (20, 20, {"sign": 20})
        assert stats_of(report.job)["other_files"] == {".json": 20}


def odd_files() -> tuple[dict[str, bytes], dict[str, list[int] | None], dict[str, list[str]]]:
    """Return 40 odd or damaged files, the red box of those that can be read, and what each shall be named as."""
    red, size = (10, 5, 30, 25), (60, 40)
    plain, members, boxes = drawn(size, red), {}, {}
    named: dict[str, list[str]] = {}

    def add(name: str, contents: bytes, box: tuple[int, ...] | None, *reasons: str) -> None:
        members[name], key = contents, name.partition(".")[0]
        if reasons != ("unreadable",):
            boxes[key] = list(box) if box else None
        for reason in reasons:
            named.setdefault(reason, []).append(key)

    jpeg = encoded(plain, "JPEG", quality=95)
    for n in range(4):
        add(f"text{n}.jpg", b"not an image" * n, None, "unreadable")
        add(f"cut{n}.jpg", jpeg[: len(jpeg) // 2 + n], None, "unreadable")
        add(f"html{n}.png", b"<html>404 not found</html>", None, "unreadable")
        add(f"cutpng{n}.png", encoded(plain)[: 60 + n], None, "unreadable")
        add(f"print{n}.jpg", encoded(Image.new("CMYK", size, (0, 255, 255, n)), "JPEG"), (0, 0, 60, 40), "cmyk")
        add(f"deep{n}.png", encoded(Image.new("I;16", size, 60000 - n)), None, "16-bit")
        frames = [plain, drawn(size)]
        add(f"moves{n}.gif", encoded(plain, "GIF", save_all=True, append_images=frames[1:]), red, "animated")
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = plain.transpose(Image.Transpose.ROTATE_90)
        add(f"turned{n}.png", encoded(turned, exif=exif), red, "rotated")
        add(f"dot{n}.png", encoded(Image.new("RGB", (1, 1), (255, 0, 0))), (0, 0, 1, 1), "tiny")
        add(f"good{n}.webp", encoded(plain, "WEBP", lossless=True), red)
    return members, boxes, named


def test_forty_odd_files_survive_or_are_named(tmp_path: Path) -> None:
    members, boxes, named = odd_files()
    assert len(members) == 40
    (tmp_path / "odd.tar").write_bytes(tar_of(members))
    (report,) = annotate(f"{tmp_path}/odd.tar")
    found, stats = read_sidecar(report.job.target), stats_of(report.job)
    assert boxes_of(found) == {key: [box] if box else [] for key, box in boxes.items()}
    assert {reason: sorted(keys) for reason, keys in stats["named"].items()} == {
        reason: sorted(keys) for reason, keys in named.items()
    }
    assert stats["counts"] == {reason: len(keys) for reason, keys in named.items()} == report.named
    assert set(found.places) | set(stats["named"]["unreadable"]) == {name.partition(".")[0] for name in members}
    assert all("cannot be read as an image" in why for why in stats["named"]["unreadable"].values())
    turned = found["turned0"]
    assert (turned["width"], turned["height"]) == (60, 40)


def test_a_truncated_tar_gives_what_comes_before_the_cut_and_says_so(tmp_path: Path) -> None:
    contents, boxes = random_shard(3, 12)
    (tmp_path / "cut.tar").write_bytes(contents[: len(contents) // 2])
    (tmp_path / "rubbish.tar").write_bytes(b"rubbish" * 500)
    (tmp_path / "empty.tar").write_bytes(b"")
    cut, *others = annotate([f"{tmp_path}/cut.tar", f"{tmp_path}/rubbish.tar", f"{tmp_path}/empty.tar"])
    found = boxes_of(read_sidecar(cut.job.target))
    assert 3 < len(found) < 12
    assert found == {key: [list(box)] for key, box in boxes.items() if key in found}
    assert "cannot be read to its end" in stats_of(cut.job)["problem"]
    for other in others:
        assert f"{other.job.shard}: cannot be read to its end" in other.failed
        assert stats_of(other.job)["problem"] == other.failed
        assert not Path(other.job.target).exists()


def test_what_is_finished_is_not_done_again_and_a_changed_shard_is(tmp_path: Path, log: Path) -> None:
    (tmp_path / "a.tar").write_bytes(random_shard(1)[0])
    red = NamedDetector("spots/red")
    assert len(annotate(f"{tmp_path}/a.tar", red)) == 1
    assert len(annotate(f"{tmp_path}/a.tar", red)) == 0
    assert lines(log) == 4
    contents, boxes = random_shard(2)
    (tmp_path / "a.tar").write_bytes(contents)
    (report,) = annotate(f"{tmp_path}/a.tar", red)
    assert boxes_of(read_sidecar(report.job.target)) == {key: [list(box)] for key, box in boxes.items()}
    sidecar = Path(report.job.target)
    sidecar.write_bytes(sidecar.read_bytes()[:-9])
    assert len(annotate(f"{tmp_path}/a.tar", red)) == 1
    assert lines(log) == 12


def test_a_detector_that_comes_later_adds_and_a_changed_one_replaces_its_own(tmp_path: Path, log: Path) -> None:
    image = encoded(drawn((80, 60), (5, 6, 15, 26), (40, 30, 70, 50)))
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": image, "2.png": encoded(drawn((64, 64)))}))
    before, red = (tmp_path / "a.tar").read_bytes(), NamedDetector("spots/red")
    annotate(f"{tmp_path}/a.tar", red)
    (report,) = annotate(f"{tmp_path}/a.tar", red, NamedDetector("spots/blue"))
    assert lines(log) == 4  # each of two images by each of two detectors
    found = read_sidecar(report.job.target)
    assert boxes_of(found) == {"1": [[5, 6, 15, 26]], "2": []}
    assert boxes_of(found, "spots/blue") == {"1": [[40, 30, 70, 50]], "2": []}
    assert [scan["kind"] for scan in found["2"]["scans"]] == ["mark", "sign"]
    annotate(f"{tmp_path}/a.tar", NamedDetector("spots/blue", {"score": 0.5}))
    found = read_sidecar(report.job.target)
    assert {r["detector"]: r["score"] for r in found["1"]["regions"]} == {"spots/blue": 0.5, "spots/red": 0.75}
    assert len(annotate(f"{tmp_path}/a.tar", red, NamedDetector("spots/blue", {"score": 0.5}))) == 0
    assert lines(log) == 6
    assert (tmp_path / "a.tar").read_bytes() == before


def test_of_a_folder_only_new_and_changed_files_are_looked_at(tmp_path: Path, log: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png"):
        drawn((50, 40), (1, 2, 11, 12)).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"")
    red = NamedDetector("spots/red")
    (report,) = annotate(f"{photos}/", red)
    assert report.job.target == f"{tmp_path}/photos.regions.parquet"
    assert lines(log) == 3
    assert annotate(str(photos), red) == []
    drawn((50, 40), (3, 3, 33, 33)).save(photos / "a.png")
    drawn((64, 40), (4, 4, 8, 8)).save(photos / "new.png")
    (photos / "c.png").unlink()
    annotate(str(photos), red)
    assert lines(log) == 5
    found = boxes_of(read_sidecar(report.job.target))
    assert found == {"a.png": [[3, 3, 33, 33]], "new.png": [[4, 4, 8, 8]], "sub/b.png": [[1, 2, 11, 12]]}
    assert list(stats_of(report.job)["named"]["unreadable"]) == ["broken.jpg"]


def test_large_images_are_looked_at_smaller(tmp_path: Path) -> None:
    image = encoded(drawn((1000, 400), (200, 100, 600, 300)), "JPEG", quality=95)
    (tmp_path / "a.tar").write_bytes(tar_of({"1.jpg": image}))
    (report,) = annotate(f"{tmp_path}/a.tar", max_side=250)
    row = read_sidecar(report.job.target)["1"]
    assert (row["width"], row["height"]) == (1000, 400)
    assert row["regions"][0]["box"] == pytest.approx([0.2, 0.25, 0.6, 0.75], abs=0.01)


def test_images_that_a_detector_cannot_look_at_are_named_and_the_others_are_kept(tmp_path: Path) -> None:
    members = {f"{n}.png": encoded(drawn((200, 200) if n % 3 else (60, 60), (1, 1, 9, 9))) for n in range(9)}
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    (report,) = annotate(f"{tmp_path}/a.tar", NamedDetector("spots/red", {"refuse": 64}))
    named = stats_of(report.job)["named"]["not looked at"]
    assert sorted(named) == ["0", "3", "6"]
    assert named["0"] == "spots/red could not look at it (RuntimeError: no images of this size)."
    assert sorted(read_sidecar(report.job.target).places) == ["1", "2", "4", "5", "7", "8"]


def test_a_detector_that_can_look_at_nothing_fails_the_shard_and_writes_nothing(tmp_path: Path) -> None:
    members = {f"{n}.png": encoded(drawn((60, 60), (1, 1, 9, 9))) for n in range(5)}
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    (report,) = annotate(f"{tmp_path}/a.tar", NamedDetector("spots/red", {"refuse": 64}))
    assert "none of 5 images could be looked at" in report.failed
    assert not Path(report.job.target).exists()


def test_a_shard_that_is_not_there_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    (tmp_path / "1.tar").write_bytes(random_shard(1)[0])
    missing, there = annotate(f"{tmp_path}/{{0..1}}.tar")
    assert missing.failed == f"{tmp_path}/0.tar: there is no such file."
    assert (there.failed, there.rows) == ("", 4)


def test_a_file_that_is_no_side_car_is_not_written_over(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.tar").write_bytes(random_shard(1)[0])
    target = tmp_path / "a.regions.parquet"
    pq.write_table(pa.table({"mine": [1]}), target)
    before = target.read_bytes()
    (report,) = annotate(f"{tmp_path}/a.tar")
    assert "expected a side-car of regions, version 1, got a Parquet file that is none" in report.failed
    assert target.read_bytes() == before


def test_patterns_become_jobs(tmp_path: Path) -> None:
    def names(jobs: Iterable[Job]) -> list[str]:
        return [str(Path(job.shard).relative_to(tmp_path)) for job in jobs]

    for folder in ("a", "b", "photos"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "00000.tar").write_bytes(b"")
    (tmp_path / "b" / "00000.tar").write_bytes(b"")
    drawn((9, 9)).save(tmp_path / "photos" / "x.png")
    assert names(jobs_of([f"{tmp_path}/a", f"{tmp_path}/photos"])) == ["a/00000.tar", "photos"]
    assert names(jobs_of([f"{tmp_path}/*/00000.tar"])) == ["a/00000.tar", "b/00000.tar"]
    with pytest.raises(InputError, match="expected the side-car of one shard"):
        jobs_of([f"{tmp_path}/*/00000.tar"], "out")
    with pytest.raises(InputError, match="expected a tar file or a folder of images, got one image"):
        jobs_of([f"{tmp_path}/photos/x.png"])


def test_a_side_car_of_imported_regions_is_kept_beside_what_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of({"1.png": encoded(drawn((80, 60), (5, 6, 15, 26)))}))
    scan = {"detector": "coco", "version": "", "weights": "", "options": "{}", "kind": "sign"}
    region = {"kind": "sign", "box": [0.5, 0.5, 1.0, 1.0], "quad": None, "keypoints": None} | {
        "score": 1.0,
        "text": None,
        "detector": "coco",
    }
    row = {"key": "1", "width": 80, "height": 60, "scans": [scan], "regions": [region]}
    write_sidecar(f"{tmp_path}/a.regions.parquet", Sidecar.of([row]))
    (report,) = annotate(f"{tmp_path}/a.tar")
    found = read_sidecar(report.job.target)
    assert boxes_of(found, "coco") == {"1": [[40, 30, 80, 60]]}
    assert boxes_of(found) == {"1": [[5, 6, 15, 26]]}


def test_a_side_car_of_another_shard_of_the_same_name_is_not_written_over(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.tar").write_bytes(random_shard(ord(folder))[0])
        (tmp_path / folder / "photos").mkdir()
        drawn((50, 40), (1, 2, 11, 12)).save(tmp_path / folder / "photos" / f"{folder}.png")
    for name in ("0.tar", "photos"):
        (first,) = annotate(f"{tmp_path}/a/{name}", out=f"{tmp_path}/out")
        before = Path(first.job.target).read_bytes()
        (second,) = annotate(f"{tmp_path}/b/{name}", out=f"{tmp_path}/out")
        assert second.failed == (
            f"{first.job.target}: expected the side-car of {tmp_path}/b/{name}, got that of {tmp_path}/a/{name}. "
            "Say another --out, or remove the side-car."
        )
        assert Path(first.job.target).read_bytes() == before
    (tmp_path / "a" / "0.tar").rename(tmp_path / "0.tar")
    assert annotate(f"{tmp_path}/0.tar", out=f"{tmp_path}/out") == []  # moved, and the same

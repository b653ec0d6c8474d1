"""Images of shards as a source: each once an epoch, damage named and replaced, regions moved with their image."""

from __future__ import annotations

import io
import os
import random
import threading
from collections import Counter
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image, ImageDraw

from regionloss.data.batches.batch import Batch, Blend, Sample, batch_at
from regionloss.data.batches.image_source import ImageSource
from regionloss.data.images.augment import Augment, Framing
from regionloss.data.images.files import decoded, open_image, read_image, upright_size
from regionloss.data.shards.shards import FolderShard, ShardSet, find_shards
from regionloss.data.sidecars.entries import Joined
from regionloss.errors import InputError
from regionloss.regions import Regions
from tests.data.shards.test_shards import png, write_tar

STILL = Framing(16, Augment(crop="center", flip=0.0))


def source(folder: Path, name: str = "a", seed: int = 0, **options: object) -> ImageSource:
    return ImageSource(name, ShardSet(find_shards(f"{folder}/*.tar", folder / "cache")), STILL, seed, **options)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for shard in range(5):
        write_tar(tmp_path / f"{shard}.tar", {f"{shard}-{i}.png": png(10 * shard + i) for i in range(shard + 2)})
    return tmp_path


def test_every_image_once_an_epoch_in_another_order_each_time(shards: Path) -> None:
    made = source(shards)
    assert len(made) == 20
    epochs = [[made.sample(20 * e + i).source for i in range(20)] for e in range(3)]
    keys = sorted(f"a/{shard}-{i}" for shard in range(5) for i in range(shard + 2))
    assert [sorted(epoch) for epoch in epochs] == [keys] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = source(shards)
    assert [again.sample(i).source for i in reversed(range(60))][::-1] == [key for epoch in epochs for key in epoch]
    assert [source(shards, seed=1).sample(i).source for i in range(20)] != epochs[0]


def test_pixels_are_the_image_of_the_key(shards: Path) -> None:
    made = source(shards)
    for i in range(20):
        sample = made.sample(i)
        shard, _, number = sample.source.removeprefix("a/").partition("-")
        assert (sample.pixels[0] == 10 * int(shard) + int(number)).all()


def test_files_that_lie_far_away_are_fetched_at_the_same_time(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four reads wait for one another here: one after another, none would come back. Samples are the same."""
    far = fsspec.filesystem("memory")
    for path in shards.glob("*.tar"):
        far.pipe(f"/at-once/{path.name}", path.read_bytes())
    near, cache = Blend({source(shards): 1.0}, seed=0), shards / "far"
    remote = ImageSource("a", ShardSet(find_shards("memory://at-once/{0..4}.tar", cache)), STILL, 0)
    together, read = threading.Barrier(4, timeout=20), MemoryFileSystem.cat_file

    def cat_file(self: MemoryFileSystem, path: str, **part: int) -> bytes:
        together.wait()
        return read(self, path, **part)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    for first in (0, 8):
        found, wanted = batch_at(Blend({remote: 1.0}, seed=0), first, 8), batch_at(near, first, 8)
        assert (found.sources, found.skipped) == (wanted.sources, ())
        assert torch.equal(found.pixels, wanted.pixels)


def odd_files() -> dict[str, bytes]:
    """Forty files of all the kinds that datasets hold, half of them broken."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 30, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "cmyk.jpg": (noise.convert("CMYK"), {}),
        "grey16.png": (Image.fromarray(rng.integers(0, 65536, (20, 20), dtype=np.uint16)), {}),
        "animated.gif": (noise, {"save_all": True, "append_images": [noise.rotate(90)]}),
        "turned.jpg": (noise, {"exif": turned}),
        "one.png": (Image.new("RGB", (1, 1)), {}),
        "alpha.png": (noise.convert("RGBA"), {}),
        "palette.png": (noise.convert("P"), {}),
        "thin.png": (Image.new("RGB", (200, 1)), {}),
    }
    files = {}
    for copy in range(3):
        for name, (image, options) in kinds.items():
            contents = io.BytesIO()
            image.save(contents, {"jpg": "JPEG", "gif": "GIF", "png": "PNG"}[name[-3:]], **options)
            files[f"{copy}{name}"] = contents.getvalue()
        whole = png(copy, (64, 64))
        files |= {
            f"{copy}empty.jpg": b"",
            f"{copy}html.jpg": b"<html>403</html>",
            f"{copy}cut.png": whole[: len(whole) // 2],
            f"{copy}header.png": whole[:20],
        }
    noisy = io.BytesIO()
    noise.resize((300, 300)).save(noisy, "JPEG")
    files |= {f"{i}cut.jpg": noisy.getvalue()[: 900 + i] for i in range(4)}
    return files


def test_of_forty_odd_files_each_is_read_or_named(tmp_path: Path) -> None:
    files = odd_files()
    assert len(files) == 40
    write_tar(tmp_path / "0.tar", files)
    made = source(tmp_path)
    samples = [made.sample(i) for i in range(40)]
    read = {sample.source.removeprefix("a/") for sample in samples if not sample.skipped}
    named = {sentence.split(": ")[1] for sample in samples for sentence in sample.skipped[:1]}
    broken = {name.partition(".")[0] for name in files if any(w in name for w in ("empty", "html", "cut", "header"))}
    assert read == {name.partition(".")[0] for name in files} - broken
    assert named == broken
    assert all(sample.pixels.shape == (3, 16, 16) for sample in samples)
    batch = Batch.of(samples)
    assert len(batch.skipped) >= 16
    assert all("cannot be read as an image" in sentence for sentence in batch.skipped)


def test_what_stands_in_for_a_broken_image_is_the_same_each_time(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {f"{i}.png": png(i) if i % 3 else b"broken" for i in range(12)})
    first, second = source(tmp_path), source(tmp_path)
    assert [first.sample(i).source for i in range(24)] == [second.sample(i).source for i in reversed(range(24))][::-1]


def test_only_broken_images_end_the_run_with_a_sentence(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {f"{i}.png": b"broken" for i in range(3)})
    with pytest.raises(InputError, match=r"source 'a': expected images that can be read, got 20 in a row .*0\.tar"):
        source(tmp_path).sample(0)


def test_a_shard_of_broken_images_alone_does_not_stop_a_training(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {f"{i}.png": png(i) for i in range(8)})
    write_tar(tmp_path / "1.tar", {"lost.png": png(9)[:50]})
    first, second = source(tmp_path), source(tmp_path)
    samples = [first.sample(i) for i in range(18)]
    assert [sample.source for sample in samples] == [second.sample(i).source for i in range(18)]
    assert sum("1.tar: lost" in sentence for sample in samples for sentence in sample.skipped[:1]) == 2


def test_what_is_wrong_with_regions_is_said_and_not_laid_on_the_image(shards: Path) -> None:
    def damaged(shard: str, key: str, size: tuple[int, int]) -> Joined:
        raise InputError(f"{shard}.regions.parquet: damaged.")

    with pytest.raises(InputError, match=r"\d\.tar\.regions\.parquet: damaged\.$"):
        source(shards, annotations=damaged).sample(0)
    points = Regions("person", torch.tensor([[1.0, 1, 9, 9]]), torch.zeros(1).long(), (20, 20), 1, torch.ones(1, 3, 2))
    always = source(shards, annotations=lambda *_: Joined({"person": points}, {}))
    always.framing = Framing(16, Augment(flip=1.0))
    with pytest.raises(InputError, match=r"flip: expected flip_pairs .* of 'person'.*flip: 0"):
        always.sample(0)


def test_shards_without_an_image_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {"a.txt": b"x"})
    with pytest.raises(InputError, match="source 'a': expected one image at least"):
        source(tmp_path)


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    for shard in range(40):
        write_tar(tmp_path / f"{shard:02d}.tar", {f"{shard}-{i}.png": png(i) for i in range(2)})
    made = source(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for i in range(200):
        made.sample(i)
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * made.window + 1


def face(shard: str, key: str, size: tuple[int, int]) -> Joined:
    """Regions for every image but those whose key ends in 0, which nobody has looked at; none found where in 1."""
    if key.endswith("0"):
        return Joined({}, {})
    count = 0 if key.endswith("1") else 1
    boxes = torch.tensor([[2.0, 2.0, 8.0, 8.0]] * count).reshape(-1, 4)
    return Joined({"face": Regions("face", boxes, torch.zeros(count).long(), (size[1], size[0]), 1)}, {})


def test_a_kind_never_looked_for_is_not_one_found_empty(shards: Path) -> None:
    blend = Blend({source(shards, annotations=face): 1.0}, 0)
    batch = batch_at(blend, 0, 20)
    regions = batch.regions["face"]
    assert regions.annotated is not None
    for i, name in enumerate(batch.sources):
        assert bool(regions.annotated[i]) == (not name.endswith("0"))
        assert int((regions.image_index == i).sum()) == (name[-1] not in "01")


def test_what_a_crop_leaves_outside_is_counted(tmp_path: Path) -> None:
    def two(shard: str, key: str, size: tuple[int, int]) -> Joined:
        boxes = torch.tensor([[0.0, 0.0, 6.0, 6.0], [40.0, 2.0, 46.0, 8.0]])
        return Joined({"face": Regions("face", boxes, torch.zeros(2).long(), (size[1], size[0]), 1)}, {})

    write_tar(tmp_path / "0.tar", {"wide.png": png(1, (100, 20))})
    batch = batch_at(Blend({source(tmp_path, annotations=two): 1.0}, 0), 0, 3)
    assert batch.dropped["face/outside"] == 3
    assert len(batch.regions["face"]) == 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shrink", [1.0, 2.0, 4.5, 8.0])
def test_decoding_smaller_is_decoding_and_shrinking(orientation: int, shrink: float) -> None:
    """Against the whole image shrunk by PIL; the sizes asked for are kept to, and EXIF is followed."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
        (480, 360), Image.Resampling.BICUBIC
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = io.BytesIO()
    image.save(contents, "JPEG", quality=95, exif=exif)
    opened = open_image(contents.getvalue(), "it")
    whole = decoded(open_image(contents.getvalue(), "it"), "it").image
    assert upright_size(opened, "it") == whole.size
    small = decoded(opened, "it", shrink).image
    assert small.width >= whole.width / shrink
    assert small.height >= whole.height / shrink
    difference = np.asarray(whole.resize(small.size, Image.Resampling.BOX), float) - np.asarray(small, float)
    assert np.abs(difference).mean() < 2.0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("corner", [(40, 40), (485, 361), (485, 40)])
def test_a_smaller_copy_says_where_the_picture_lies_in_it(orientation: int, corner: tuple[int, int]) -> None:
    """A disc's centre of mass, at sizes that eight does not divide: EXIF turns the filling to any side."""
    image = Image.new("L", (521, 393))
    ImageDraw.Draw(image).ellipse((corner[0] - 24, corner[1] - 24, corner[0] + 24, corner[1] + 24), fill=255)
    exif, contents = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(contents, "JPEG", quality=95, exif=exif)
    whole = decoded(open_image(contents.getvalue(), "it"), "it").image
    x, y = centre_of_mass(whole)
    for shrink, reduction in ((2.0, 2), (4.5, 4), (8.0, 8)):
        copy = decoded(open_image(contents.getvalue(), "it"), "it", shrink)
        assert copy.reduction == reduction
        assert centre_of_mass(copy.image) == pytest.approx(copy.box((x, y, x, y))[:2], abs=0.02)
        left, top, right, bottom = copy.box((0, 0, *whole.size))
        assert (right - left, bottom - top) == pytest.approx((whole.width / reduction, whole.height / reduction))


def centre_of_mass(image: Image.Image) -> tuple[float, float]:
    """Return where a bright disc is, in continuous pixels."""
    weights = np.where(np.asarray(image)[..., 0] > 20, np.asarray(image, dtype=float)[..., 0], 0.0)
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return float((xs * weights).sum() / weights.sum()), float((ys * weights).sum() / weights.sum())


def test_a_folder_is_a_shard_too(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    made = ImageSource("photos", ShardSet([FolderShard(str(tmp_path))]), STILL, 0)
    samples = [made.sample(i) for i in range(4)]
    assert sorted(sample.source for sample in samples) == [f"photos/{i}.png" for i in range(4)]
    assert Counter(type(sample) for sample in samples) == {Sample: 4}
    key = samples[0].source.removeprefix("photos/")
    assert np.array_equal(
        samples[0].pixels.permute(1, 2, 0).numpy()[8, 8], np.asarray(read_image(tmp_path / key))[5, 5]
    )


def test_an_image_is_cropped_anew_each_epoch(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    contents = io.BytesIO()
    noise.save(contents, "PNG")
    write_tar(tmp_path / "0.tar", {"0.png": contents.getvalue()})
    framing = Framing(16, Augment())
    made = ImageSource(
        "a", ShardSet(find_shards(str(tmp_path / "0.tar"), tmp_path / "c")), framing, random.Random(0).randrange(9)
    )
    assert len({made.sample(i).pixels.numpy().tobytes() for i in range(12)}) == 12

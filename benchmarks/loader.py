"""Our loader (decode, crop, regions, collate) against `webdataset` without regions, on the same shards.

    python -m benchmarks.loader [--workers 2] [--images 1024] [--batch 32] [--size 256] [--rounds 15]

Shards hold JPEG crops of photographs that packages bring, 512 x 384 to 640 x 640 pixels; each image has three texts and
a face in a side-car. `webdataset` decodes with PIL, cuts a random resized crop (torchvision, the same interpolation),
mirrors half of them, and stacks bytes; ours does the same, and carries, filters and collates the regions. Both run with
as many workers and take turns of a few batches; the workers of the one that waits have filled their queues and idle.
Prints images a second, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from insighttok_ref.data.photos import photos
from regionloss.data.batches import BatchLoader, Blend, ImageSource, Share
from regionloss.data.images import Augment, Framing, cropped, random_window
from regionloss.data.shards import ShardSet, find_shards
from regionloss.data.sidecars import Scan, Sidecar, Sidecars, sidecar_path, write_sidecar
from regionloss.regions import RegionFilter

AREA = (0.25, 1.0)
FILTERS = {"text": RegionFilter(per_image=8), "face": RegionFilter(need_keypoints=True)}
LANDMARKS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8))
FLIP_PAIRS = {"face": ((0, 1), (3, 4))}


def write_shards(folder: Path, shards: int, images: int) -> list[str]:
    """Write tar files of JPEG images that differ in size and content."""
    grounds = [photo.open() for photo in photos("train") + photos("test")]
    names = []
    for shard in range(shards):
        names.append(str(folder / f"{shard:05d}.tar"))
        rows = []
        with tarfile.open(names[-1], "w") as archive:
            for number in range(shard, images, shards):
                rng = random.Random(number)
                ground = rng.choice(grounds)
                window = random_window((ground.height, ground.width), rng, (0.3, 1.0), 1.3)
                size = rng.choice([(384, 512), (512, 384), (512, 512), (640, 640)])
                contents = io.BytesIO()
                cropped(ground, {}, window, size)[0].save(contents, "JPEG", quality=90)
                member = tarfile.TarInfo(f"{number:08d}.jpg")
                member.size = len(contents.getvalue())
                archive.addfile(member, io.BytesIO(contents.getvalue()))
                rows.append(row(number, random.Random(number), size))
        write_sidecar(sidecar_path(str(folder), names[-1]), Sidecar.of(rows))
    return names


def row(number: int, rng: random.Random, size: tuple[int, int]) -> dict[str, Any]:
    """Return three texts and a face with five keypoints, somewhere in an image of `size` (H, W)."""
    regions: list[dict[str, Any]] = []
    for kind, width, height in (("text", 0.25, 0.08),) * 3 + (("face", 0.3, 0.4),):
        x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        points = [(x + width * u, y + height * v) for u, v in LANDMARKS]
        regions.append(
            {
                "kind": kind,
                "box": [x, y, x + width, y + height],
                "keypoints": [v for point in points for v in point] if kind == "face" else None,
                "score": rng.random(),
                "text": "word" if kind == "text" else None,
                "detector": kind,
            }
        )
    scans = [asdict(Scan(kind, kind=kind)) for kind in ("text", "face")]
    return {"key": f"{number:08d}", "width": size[1], "height": size[0], "scans": scans, "regions": regions}


def ours(names: list[str], folder: Path, options: argparse.Namespace) -> Iterator[int]:
    """Yield the number of images of each batch, from our loader."""
    framing = Framing(options.size, Augment(area=AREA, flip=0.5), FLIP_PAIRS)
    source = ImageSource("images", ShardSet(find_shards(names, folder)), framing, 0, Sidecars(str(folder)))
    loader = BatchLoader(Blend({source: 1.0}, 0, FILTERS), Share(options.batch), workers=options.workers)
    for batch in loader.starting_at(0):
        assert batch.pixels.dtype == torch.uint8
        assert len(batch.regions["text"]) > 0
        yield len(batch)


def webdataset(names: list[str], folder: Path, options: argparse.Namespace) -> Iterator[int]:
    """Yield the number of images of each batch, from a usual pipeline without regions."""
    import webdataset as wds
    from torchvision.transforms import v2

    turn = v2.Compose(
        [
            v2.RandomResizedCrop(options.size, AREA, (1 / 1.15, 1.15), interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
        ]
    )
    data = wds.WebDataset(names, shardshuffle=False, resampled=True, nodesplitter=wds.split_by_node)
    data = data.decode("pil").to_tuple("jpg").map_tuple(turn).batched(options.batch)
    for (images,) in wds.WebLoader(data, batch_size=None, num_workers=options.workers):
        yield len(images)


def rate(batches: Iterator[int], timed: int, ready: int) -> float:
    """Return images a second over some batches, after those that workers have ready."""
    for _ in islice(batches, ready):
        pass
    start = time.perf_counter()
    return sum(islice(batches, timed)) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"workers": 2, "images": 1024, "shards": 4, "batch": 32, "size": 256, "rounds": 15, "timed": 12}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ready = 2 * options.workers + 2
    with tempfile.TemporaryDirectory() as name:
        names = write_shards(Path(name), options.shards, options.images)
        candidates = {"ours": ours, "webdataset": webdataset}
        running = {candidate: start(names, Path(name), options) for candidate, start in candidates.items()}
        rates: dict[str, list[float]] = {candidate: [] for candidate in candidates}
        for turn in range(options.rounds):
            # Who goes second finds the machine as the first has left it: they change places.
            for candidate in sorted(running, reverse=turn % 2 == 1):
                rates[candidate].append(rate(running[candidate], options.timed, ready))
        running.clear()
    ratios = [mine / theirs for mine, theirs in zip(*rates.values(), strict=True)]
    print(f"{options.workers} workers, batches of {options.batch}, {options.size} px, {options.rounds} rounds")
    for candidate, found in rates.items():
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"  {candidate:12} {middle:8.1f} images/s  ({low:.0f} to {high:.0f})")
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"  ours / webdataset, median of rounds: {statistics.median(ratios):.2f}  (quartiles {low:.2f}, {high:.2f})")


if __name__ == "__main__":
    main()

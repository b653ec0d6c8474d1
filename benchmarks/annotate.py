"""Images a second of `annotate` against its detector alone on decoded batches, and memory over many shards.

    python -m benchmarks.annotate [--shards 20] [--images 32] [--size 384] [--detector mtcnn]

Both look at the same images in the same batches, five shards each in turns, so that a busy machine slows both alike;
`annotate` begins each turn with nothing read ahead. Goal:
`annotate` reaches at least 0.9 of the detector alone, and its memory is flat.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regionloss.data.annotate import Annotate, decode, jobs_of, resolve, to_batch

TURN = 5


def photograph(size: int, seed: int) -> bytes:
    """Return a JPEG: clouds of several scales, which are about as hard to decode as a photograph."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(0, 64 / 2**n, (3 << n, 3 << n, 3)) for n in range(7)]
    clouds = sum(
        np.stack([np.asarray(Image.fromarray(c.astype(np.float32)).resize((size, size))) for c in np.moveaxis(x, 2, 0)])
        for x in layers
    )
    contents = io.BytesIO()
    pixels = (np.moveaxis(clouds, 0, 2) + 128).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(contents, "JPEG", quality=90)
    return contents.getvalue()


def write_shard(path: Path, files: list[bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for number, data in enumerate(files):
            member = tarfile.TarInfo(f"{number:05d}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def resident() -> float:
    """Return the memory of this process, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--detector", default="mtcnn")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decoders", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    files = [photograph(options.size, seed) for seed in range(options.images)]
    how = Annotate(
        tuple(resolve([options.detector])), batch=options.batch, decoders=options.decoders, device=options.device
    )
    stage = how()
    pictures = [decode(str(n), data, how.max_side) for n, data in enumerate(files)]
    groups = [pictures[start : start + options.batch] for start in range(0, len(pictures), options.batch)]

    def bare() -> float:
        begun = time.perf_counter()
        for group in groups:
            stage.detectors[0].detect(to_batch(group, options.device))
        return time.perf_counter() - begun

    ratios, memory, both = [], [], [0.0, 0.0]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.shards + 1):
            write_shard(Path(folder) / f"{number:05d}.tar", files)
        jobs = jobs_of([f"{folder}/*.tar"])
        first, *jobs = jobs
        list(stage([first], lambda images: None))  # starts processes and fills caches
        for turn in (jobs[start : start + TURN] for start in range(0, len(jobs), TURN)):
            alone, begun = sum(bare() for _ in turn), time.perf_counter()
            for report in stage(turn, lambda images: None):
                assert not report.failed
                memory.append(resident())
            seconds = time.perf_counter() - begun
            ratios.append(alone / seconds)
            both = [both[0] + alone, both[1] + seconds]
        stage.close()
    images = options.images * options.shards
    print(f"{options.detector}, {options.shards} shards of {options.images} images of {options.size} px:")
    print(f"alone {images / both[0]:.1f} images/s, annotate {images / both[1]:.1f} images/s")
    print(f"annotate / alone: median of {len(ratios)} turns {statistics.median(ratios):.3f}, goal 0.9")
    print(f"memory after each shard, MiB: {' '.join(f'{value:.0f}' for value in memory)}")


if __name__ == "__main__":
    main()

"""`regionloss evaluate` on folders of images: time a pair by suite, and peak memory at two numbers of images.

    python -m benchmarks.evaluation [--counts 50 200] [--size 512] [--suite general,text] [--threads 2]

Originals are crops of photographs that scikit-image ships, with two drawn words each; reconstructions are the same as
JPEG files of low quality. Each number of images is evaluated by the command itself, in a process of its own: memory
that grows with the number would show in the second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from regionloss.data.sidecars import Scan, Sidecar, sidecar_path, write_sidecar

WORDS = ("Station", "Garden", "Coffee", "Platform", "Library", "Museum")


def draw(folder: Path, count: int, size: int) -> None:
    """Write originals with their side-car, and reconstructions."""
    photos = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in ("astronaut", "coffee", "rocket")]
    random, rows = np.random.default_rng(0), []
    scans = [vars(Scan("drawn", kind="text"))]
    for part in ("photos", "made"):
        (folder / part).mkdir()
    for number in range(count):
        photo = photos[number % len(photos)].resize((size + 128, size + 128))
        left, top = random.integers(0, 128, 2).tolist()
        image, regions = photo.crop((left, top, left + size, top + size)), []
        pen = ImageDraw.Draw(image)
        for place in range(2):
            word, font = WORDS[random.integers(len(WORDS))], ImageFont.load_default(size=int(random.integers(14, 48)))
            at = (20, 40 + place * size // 2)
            pen.text(at, word, fill="white", font=font)
            box = [side / size for side in pen.textbbox(at, word, font=font)]
            empty = {"quad": None, "keypoints": None}
            regions.append({"kind": "text", "box": box, **empty, "score": 1.0, "text": word, "detector": "drawn"})
        key = f"{number:06d}.png"
        image.save(folder / "photos" / key, compress_level=1)
        image.save(folder / "made" / f"{number:06d}.jpg", quality=12)
        rows.append({"key": key, "width": size, "height": size, "scans": scans, "regions": regions})
    write_sidecar(sidecar_path("", str(folder / "photos")), Sidecar.of(rows))


def measured(folder: Path, suite: str, threads: int) -> tuple[float, float]:
    """Return seconds, and peak memory in MiB, of the command on a folder."""
    command = [sys.executable, "-m", "regionloss", "evaluate", "--suite", suite, "--again"]
    command += [
        "--reconstructions",
        str(folder / "made"),
        "--data",
        str(folder / "photos"),
        "--out",
        str(folder / "out"),
    ]
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with status {status}")
    scale = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, usage.ru_maxrss * scale / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs=2, default=(50, 200))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--suite", default="general,text")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    few, many = options.counts
    print(f"{options.size} x {options.size} pixels, {options.threads} threads")
    for suite in options.suite.split(","):
        found = []
        for count in (few, many):
            with tempfile.TemporaryDirectory() as folder:
                draw(Path(folder), count, options.size)
                found.append(measured(Path(folder), suite, options.threads))
        pair = (found[1][0] - found[0][0]) / (many - few)
        start = found[0][0] - few * pair
        memory = " and ".join(f"{peak:.0f} MiB at {count}" for (_, peak), count in zip(found, (few, many), strict=True))
        print(f"{suite}: {1000 * pair:.0f} ms a pair and {start:.0f} s at the start; peak memory {memory} images")


if __name__ == "__main__":
    main()

"""Drawn words on disk: tar shards of images and the side-cars beside them, a pure function of the seed."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from regionloss.data.annotating import Annotated
from regionloss.data.batches import Sample
from regionloss.data.images import list_images, read_image, to_image
from regionloss.data.rendering import TextRenderer, TextStyle
from regionloss.data.sidecars import Row, Scan, Sidecar, sidecar_path, write_sidecar
from regionloss.errors import InputError, expected

from . import fonts
from .photos import photos
from .sources import TextSource, shrunk

MOST_GROUNDS = 1000


@dataclass(frozen=True)
class Rendering:
    """What is drawn.

    Args:
        size: Side of the square images, pixels.
        style: How words are drawn.
        seed: Of everything.
        grounds: Folder of pictures to write on; None takes those that packages bring.
        plain: Share of plain grounds.
        fonts: Folder of font files; None takes those that packages bring.
        words: File of words, one a line; None takes the list that a package brings.
    """

    size: int = 256
    style: TextStyle = field(default_factory=TextStyle)
    seed: int = 0
    grounds: Path | None = None
    plain: float = 0.25
    fonts: Path | None = None
    words: Path | None = None

    def source(self, name: str = "text") -> TextSource:
        """Return the source of such images.

        Raises:
            InputError: No fonts, words or pictures where they should be.
            PluginError: A package that brings them is not installed.
        """
        if self.grounds is None:
            grounds = [photo.open() for photo in photos("train")]
        else:
            grounds = [read_image(path) for path in list_images(self.grounds)[:MOST_GROUNDS]]
        small = [shrunk(Annotated("", ground, {}), 4 * self.size).image for ground in grounds]
        renderer = TextRenderer(self.font_files(), self.word_list(), self.style)
        return TextSource(renderer, small, self.size, self.seed, plain=self.plain, name=name)

    def font_files(self) -> list[Path]:
        """Return the font files."""
        if self.fonts is None:
            return fonts.fonts()
        found = sorted(path for path in self.fonts.rglob("*") if path.suffix.lower() in (".ttf", ".otf"))
        if not found:
            raise InputError(expected("fonts", f"font files (.ttf, .otf) in '{self.fonts}'", "none"))
        return found

    def word_list(self) -> list[str]:
        """Return the words."""
        if self.words is None:
            return fonts.words()
        try:
            found = self.words.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(expected("words", "a text file, one word a line", str(error))) from error
        if not found:
            raise InputError(expected("words", f"words in '{self.words}'", "none"))
        return found


def render_shards(
    rendering: Rendering,
    out: Path,
    count: int,
    *,
    shard_size: int = 1000,
    suffix: str = "png",
    workers: int = 0,
    tick: Callable[[int], None] = lambda images: None,
) -> list[Path]:
    """Write images 0 .. count - 1 as tar shards with side-cars; finished shards of an earlier call are kept.

    Args:
        rendering: What is drawn.
        out: Folder.
        count: Images.
        shard_size: Images of a shard.
        suffix: `png`, `jpg` or `webp`.
        workers: Processes besides this one; 0 draws here.
        tick: Told of each finished shard how many images it has.
    """
    out.mkdir(parents=True, exist_ok=True)
    check_same(out / "render.json", {**asdict(rendering), "shard_size": shard_size, "format": suffix})
    parts = [range(first, min(first + shard_size, count)) for first in range(0, count, shard_size)]
    paths = [out / f"{number:05d}.tar" for number in range(len(parts))]
    jobs = [(path, part) for path, part in zip(paths, parts, strict=True)]
    for images in each(partial(render_shard, rendering, suffix), jobs, workers):
        tick(images)
    return paths


def each(work: Callable[[tuple[Path, range]], int], jobs: list[tuple[Path, range]], workers: int) -> Iterator[int]:
    """Yield what the work gives for each job, done here or by processes."""
    if not workers:
        yield from map(work, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, jobs)


def render_shard(rendering: Rendering, suffix: str, job: tuple[Path, range]) -> int:
    """Write one shard and its side-car; leave a finished one as it is."""
    path, numbers = job
    sidecar = sidecar_path("", str(path))
    if path.is_file() and Path(sidecar).is_file():
        return len(numbers)
    source, rows = rendering.source(), []
    scan = Scan("render", options=json.dumps(asdict(rendering.style), sort_keys=True), kind="text")
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with tarfile.open(temporary, "w") as archive:
        for number in numbers:
            sample, key = source.sample(number), f"{number:08d}"
            contents = encoded(to_image(sample.image), suffix)
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
            rows.append(row(key, sample, scan))
    write_sidecar(sidecar, Sidecar.of(rows, [scan]))
    temporary.replace(path)
    return len(numbers)


def check_same(path: Path, options: dict[str, Any]) -> None:
    """Keep what is drawn into a folder beside it.

    Raises:
        InputError: The folder holds images that were drawn otherwise.
    """
    now = json.dumps(options, indent=1, sort_keys=True, default=str) + "\n"
    if path.is_file() and (before := path.read_text(encoding="utf-8")) != now:
        old, new = json.loads(before), json.loads(now)
        keys = ", ".join(key for key in new if old.get(key) != new[key])
        advice = "Choose another folder."
        raise InputError(
            expected(str(path.parent), "a folder for these images", f"images that differ in {keys}", advice)
        )
    path.write_text(now, encoding="utf-8")


def row(key: str, sample: Sample, scan: Scan) -> Row:
    """Return the side-car's row of a drawn image."""
    found = sample.regions["text"]
    height, width = found.image_size
    boxes = (found.boxes / torch.tensor([width, height, width, height])).tolist()
    regions = [
        {"kind": "text", "box": box, "score": 1.0, "text": text, "detector": scan.detector}
        for box, text in zip(boxes, found.texts or (), strict=True)
    ]
    return {"key": key, "width": width, "height": height, "scans": [asdict(scan)], "regions": regions}


def encoded(image: Image.Image, suffix: str) -> bytes:
    """Return an image file's contents: PNG exactly, the others at a high quality."""
    contents = io.BytesIO()
    options: dict[str, Any] = {"png": {}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"quality": 95}}[suffix]
    image.save(contents, {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix], **options)
    return contents.getvalue()

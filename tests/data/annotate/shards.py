"""Shards of drawn images for the tests: a rectangle of a known place in each."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

PLUGIN = str(Path(__file__).with_name("spots.py"))
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (90, 120, 100)
Box = tuple[int, int, int, int]


def drawn(size: tuple[int, int], red: Box | None = None, blue: Box | None = None) -> Image.Image:
    image = Image.new("RGB", size, GREY)
    for colour, box in ((RED, red), (BLUE, blue)):
        if box:
            image.paste(colour, box)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    contents = io.BytesIO()
    image.save(contents, kind, **options)
    return contents.getvalue()


def tar_of(members: Mapping[str, bytes]) -> bytes:
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return contents.getvalue()


def random_shard(seed: int, images: int = 4) -> tuple[bytes, dict[str, Box]]:
    """Return a tar file of images of several sizes, and where the red rectangle of each is."""
    rng, members, boxes = random.Random(seed), {}, {}
    for number in range(images):
        size = (rng.choice((40, 64, 100, 130)), rng.choice((30, 64, 90)))
        left, top = rng.randrange(size[0] - 20), rng.randrange(size[1] - 20)
        box = (left, top, left + rng.randint(4, 20), top + rng.randint(4, 20))
        key = f"{seed:05d}{number:03d}"
        members[f"{key}.png"], members[f"{key}.json"] = encoded(drawn(size, box)), b"{}"
        boxes[key] = box
    return tar_of(members), boxes

"""The drills of `annotate`: side-cars and stats, byte for byte."""

from __future__ import annotations

import random
import tarfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from regionloss.data.sidecars.sidecar import read_sidecar
from tests.drills.base import ROOT, Command, ended, finish, regionloss
from tests.drills.small_disk import SmallDisk

PLUGIN = ROOT / "tests/data/annotate/spots.py"
SHARDS = 30


def write_shards(folder: Path, seed: int) -> None:
    """Write tar files of images with a red rectangle each."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    for number in range(SHARDS):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as archive:
            for image in range(4):
                contents, (x, y) = BytesIO(), (rng.randrange(60), rng.randrange(40))
                picture = Image.new("RGB", (100, 70), (90, 120, 100))
                picture.paste((255, 0, 0), (x, y, x + 20, y + 15))
                picture.save(contents, "PNG")
                member = tarfile.TarInfo(f"{number:03d}{image}.png")
                member.size = len(contents.getvalue())
                archive.addfile(member, BytesIO(contents.getvalue()))


def annotate(folder: Path, seed: int) -> Command:
    """Return the command over shards that are written to a folder."""
    write_shards(folder / "shards", seed)
    options = ["--detectors", "red", "--plugin", str(PLUGIN), "--decoders", "1", "--device", "cpu"]
    slow = ["--option", "red.pause=0.01"]
    return Command(
        "annotate",
        lambda out: regionloss("annotate", str(folder / "shards"), "--out", str(out), *options, *slow),
        lambda out: len(list(out.glob("*.parquet"))),
        lambda out: {path.name: path.read_bytes() for path in out.iterdir()},
    )


def fill_disk(folder: Path, seed: int) -> str:
    """Let a disk take no more in the middle; make room, and go on."""
    command = annotate(folder, seed)
    whole = finish(command, folder / "whole")
    with SmallDisk(folder / "disk", "96k") as disk:
        code, error = ended(disk.command(command.words(disk.folder)))
        assert code == 1, error
        assert f"the disk at {disk.folder} has 0." in error, error
        assert "Traceback" not in error, error
        there = sorted(disk.outside.glob("*.parquet"))
        assert 0 < len(there) < SHARDS
        assert all(path.read_bytes() == whole[path.name] and read_sidecar(str(path)) for path in there)
        assert not list(disk.outside.glob(".*"))
        disk.grow("8m")
        code, error = ended(disk.command(command.words(disk.folder)))
        assert code == 0, error
        assert command.outcome(disk.outside) == whole
    return f"annotate, full disk: stopped after {len(there)} of {SHARDS} shards, the end as unbroken"

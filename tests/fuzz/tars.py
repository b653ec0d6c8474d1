"""Tar files of images with odd names, members and headers; annotated, and read as training reads them."""

from __future__ import annotations

import functools
import io
import json
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

from regionloss.data.annotate.annotator import Annotate, Annotator
from regionloss.data.annotate.decode import Picture, Unreadable, decode_all
from regionloss.data.annotate.detectors import resolve
from regionloss.data.annotate.job import Job, Report, silent
from regionloss.data.images.files import MOST_PIXELS
from regionloss.data.shards.shards import TarShard
from regionloss.data.sidecars.sidecar import read_sidecar, sidecar_path, stats_path
from tests.fuzz.damage import NAMES, bytes_of
from tests.fuzz.judging import Fault
from tests.fuzz.pictures import encoded, picture

SPOTS = str(Path(__file__).parents[1] / "data" / "annotate" / "spots.py")
SUFFIXES = (".png", ".png", ".png", ".PNG", ".mask.png", ".jpg", ".json", ".txt", "")


class Here:
    """Decoding in this very process: quick, and what kills it is found."""

    def decode(self, keys: Sequence[str], contents: Sequence[bytes]) -> list[Picture | Unreadable]:
        """Decode several images."""
        return decode_all(keys, contents, 1600, MOST_PIXELS)

    def close(self) -> None:
        """There is nothing to close."""


@functools.cache
def annotator() -> Annotator:
    """Return a stage that finds what is red; it lives as long as this process."""
    stage = Annotate(tuple(resolve(["red"], plugins=(SPOTS,))), (SPOTS,), decoders=1)()
    stage.decoders.close()
    stage.decoders = Here()  # type: ignore[assignment]
    return stage


def annotated(shard: Path) -> Report:
    """Annotate a shard; its side-car stands beside it."""
    (report,) = annotator()([Job(str(shard), sidecar_path("", str(shard)))], silent)
    return report


def members_of(rng: random.Random) -> list[tuple[str, bytes]]:
    """Return names and contents; each image has a shade of its own."""
    members = []
    shared = rng.choice(("1.2.840.113619.2.55.", "Track 1.0 (", "v1.")) if rng.random() < 0.25 else ""
    for number in range(rng.choice((0, 1, 3, 6))):
        folder = rng.choice(("", "", "", "./", "a/", "a.b/", "é/", "./x/../"))
        suffix = rng.choice(SUFFIXES)
        contents = encoded(picture("L", (20, 16), 60 + number), "png") if suffix.lower().endswith("png") else b"{}"
        name = f"{shared}{number}" if shared else rng.choice(NAMES)
        members.append((f"{folder}{name}{suffix}", contents))
    if rng.random() < 0.3:  # samples of several images, of which one hides the others
        kinds = rng.sample((".png", ".mask.png", ".left.png", ".right.png", ".jpg"), 2)
        shade = encoded(picture("L", (20, 16), 90), "png")
        members += [(f"sample{number}{kind}", shade) for number in range(3) for kind in kinds]
    if members and rng.random() < 0.2:
        members.append((members[0][0], encoded(picture("L", (20, 16), 200), "png")))  # the last one counts
    return members


def tar_of(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    """Return a tar file, now and then with a link, a folder, a device or a header of a huge size."""
    out = io.BytesIO()
    form = rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode=rng.choice(("w:", "w:", "w:", "w:gz")), format=form) as archive:
        for name, contents in members:
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
        if rng.random() < 0.2:
            info = tarfile.TarInfo("odd.png")
            info.type = rng.choice(
                (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
            )
            info.linkname = rng.choice(("odd.png", "a.png", "/etc/passwd"))
            archive.addfile(info)
        if rng.random() < 0.15:
            info = tarfile.TarInfo("huge.png")
            info.size = rng.choice((2**33, 2**62, 2**63, 2**70, 2**86))
            archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
    return out.getvalue()


def images_in(tar: bytes) -> set[str]:
    """Return the names of the images in a whole tar file, links among them, as `tar` would extract them."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        names = {Path(member.name) for member in archive if not member.isdir() and member.size < 2**30}
    return {str(name) for name in names if name.suffix.lower() in (".png", ".jpg") and not name.name.startswith(".")}


def fuzz(rng: random.Random, folder: Path) -> None:
    """Annotate a tar file: each image has a row, or is named; then read it as training does: the same images."""
    members = members_of(rng)
    tar = tar_of(rng, members)
    contents = bytes_of(rng, tar) if rng.random() < 0.5 else tar
    path = folder / "shard.tar"
    path.write_bytes(contents)
    report = annotated(path)
    read = trained(path)
    keys = [key for key, _ in read]
    stats = Path(stats_path(sidecar_path("", str(path))))
    if report.failed:
        if len(report.failed) > 2_000 or "Error:" in report.failed:
            raise Fault(f"failed without a sentence: {report.failed[:200]}")
        return
    said = json.loads(stats.read_text(encoding="utf-8", errors="surrogateescape"))
    named = said["named"]
    rows = set(read_sidecar(sidecar_path("", str(path))).places)
    if len(rows | set(named.get("unreadable", {}))) < len(keys):
        raise Fault(f"{len(keys)} images are trained on, {len(rows)} have rows: named are {dict(said['counts'])}")
    if contents == tar and not said["problem"]:
        # Of one key several may be hidden: they are named under it, and counted one by one.
        counted = sum(said["counts"].get(reason, 0) for reason in ("hidden", "left out") if named.get(reason))
        if len(keys) + counted < len(images_in(tar)):
            raise Fault(f"of {sorted(images_in(tar))} are read {sorted(keys)}, named {named}")
        check_twice(members, [held for _, held in read], named)


def check_twice(members: list[tuple[str, bytes]], read: list[bytes], named: dict[str, list[str]]) -> None:
    """Raise Fault unless of members of one name the last one counts, and the other is named."""
    last = dict(members)
    earlier = {name: held for name, held in members if held != last[name]}
    if any(held in read for held in earlier.values() if held not in last.values()):
        raise Fault(f"{sorted(earlier)} are twice in the tar file, and the first ones are read")
    images = [name for name in earlier if name.lower().endswith(".png") and not Path(name).name.startswith(".")]
    if images and not named.get("twice"):
        raise Fault(f"{images} are twice in the tar file, and only {named} are named")


def trained(path: Path) -> list[tuple[str, bytes]]:
    """Return the keys of the images that can be read from a tar file, as training reads it, and their contents."""
    shard = TarShard(str(path))
    keys = shard.keys()
    read = [shard.read(number) for number in range(len(keys))]
    shard.forget()
    if len(set(keys)) < len(keys):
        raise Fault(f"one key for two images: {sorted(keys)}")
    return list(zip(keys, read, strict=True))

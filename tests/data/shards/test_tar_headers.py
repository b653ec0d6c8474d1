"""Tar files with headers that cannot be, and members that are no plain files: what comes before damage is kept."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from regionloss.data.shards import tar_index
from regionloss.data.shards.shards import ShardSet, TarShard
from regionloss.data.shards.source import open_source
from regionloss.data.shards.tar_headers import BEHIND
from regionloss.errors import InputError

SIZE, CHECKSUM, TYPE = slice(124, 136), slice(148, 156), slice(156, 157)


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return a member with its header, as `tarfile` writes it."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def changed(block: bytes, place: slice, value: bytes, rest: bytes | None = None) -> bytes:
    """Return a member with other bytes in its header, and a checksum that fits them."""
    header = bytearray(block[:512])
    header[place] = value
    header[CHECKSUM] = b" " * 8
    header[CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header) + (block[512:] if rest is None else rest)


def of_size(number: int, **how: bytes) -> bytes:
    """Return an image whose header gives it a size in base 256, as GNU tar writes huge ones."""
    first = b"\x80" if number >= 0 else b"\xff"
    return changed(member("2.jpg", b"third"), SIZE, first + (number % 256**11).to_bytes(11, "big"))


def pax(*records: tuple[str, str]) -> bytes:
    """Return a header of extended facts."""
    lines = [f" {name}={value}\n".encode() for name, value in records]
    lengths = [next(n for n in range(len(line), 9999) if n == len(line) + len(str(n))) for line in lines]
    return member("pax", b"".join(b"%d%s" % pair for pair in zip(lengths, lines, strict=True)), tarfile.XHDTYPE)


IMAGE = member("2.jpg", b"third")
DAMAGED = {
    "a size of 2**63": of_size(2**63),
    "a size of 2**87": of_size(2**87),
    "a size of 2**62": of_size(2**62),
    "a size of -1": of_size(-1),
    "a size that leads back": of_size(-1536),
    "a size that leads before the file": of_size(-(2**70)),
    "letters for a size": changed(IMAGE, SIZE, b"size of it \0"),
    "another checksum": IMAGE[:148] + b"0000000\0" + IMAGE[156:],
    "a long name without end": changed(member("x", b"n", tarfile.GNUTYPE_LONGNAME), SIZE, b"\x80" + b"\x7f" * 11),
    "a huge member of no known type": changed(of_size(2**75), TYPE, b"Q"),
    "a huge file that is no image": changed(of_size(2**75), slice(0, 5), b"2.txt"),
    "a pax size that is huge": pax(("size", "9" * 400)) + IMAGE,
    "a pax size below nothing": pax(("size", "-513")) + IMAGE,
    "a pax size of 5000 digits": member("p", b"5012 size=" + b"9" * 5001 + b"\n", tarfile.XHDTYPE) + IMAGE,
    "a pax record of a huge length": member("p", b"9" * 5000 + b" size=5\n", tarfile.XHDTYPE) + IMAGE,
    "a pax size that is no number": pax(("size", "many")) + IMAGE,
    "a thousand headers of one file": pax(("comment", "c")) * 1000 + IMAGE,
    "a sparse file without its map": pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")) + IMAGE,
    "a sparse file of odd numbers": pax(("GNU.sparse.map", "1,x"), ("GNU.sparse.size", "y")) + IMAGE,
    "a sparse file that goes on": changed(IMAGE, slice(156, 483), b"S" + bytes(325) + b"\1", b""),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_images_before_a_header_that_cannot_be_are_used_and_the_damage_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    last = damage == "a sparse file that goes on"
    path.write_bytes(
        member("0.jpg", b"first") + member("1.png", b"second") + DAMAGED[damage] + bytes(1024) * (not last)
    )
    shards = ShardSet([TarShard(str(path), tmp_path / "cache")])
    source = open_source(str(path))
    for shard in (shards.shards[0], source.shard):
        assert shard.keys()[:2] == ["0", "1"]
        assert [shard.read(0), shard.read(1)] == [b"first", b"second"]
        assert f"{path}: cannot be read to its end" in shard.head.problem
    assert shards.problems[0] == source.shard.head.problem
    source.close()


def test_of_a_header_little_is_read(tmp_path: Path) -> None:
    """A name of 8 MiB is none."""
    path = tmp_path / "a.tar"
    path.write_bytes(IMAGE + member("x", bytes(8 << 20), tarfile.GNUTYPE_LONGNAME) + member("3.jpg") + bytes(BEHIND))
    shard = TarShard(str(path), tmp_path / "cache")
    assert shard.keys() == ["2"]
    assert "a header of 8388608 bytes" in shard.head.problem


def test_folders_empty_files_and_links_named_as_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    kinds = {"link.jpg": tarfile.LNKTYPE, "sym.jpg": tarfile.SYMTYPE, "pipe.jpg": tarfile.FIFOTYPE}
    links = b"".join(member(name, b"", kind, "2.jpg") for name, kind in kinds.items())
    sparse = pax(("GNU.sparse.map", "0,5"), ("GNU.sparse.size", "9000"), ("GNU.sparse.name", "hole.jpg"))
    folder = member("x.jpg/", b"", tarfile.DIRTYPE) + member("x.jpg/3.jpg", b"inside")
    path.write_bytes(IMAGE + folder + member("empty.jpg") + links + sparse + member("hole", b"hole!") + bytes(1024))
    shards = ShardSet([shard := TarShard(str(path), tmp_path / "cache")])
    assert {key: shard.read(n) for n, key in enumerate(shard.keys())} == {
        "2": b"third",
        "x.jpg/3": b"inside",
        "empty": b"",
    }
    assert shard.index().others == {".jpg": 1, "link or device": 3}
    assert shards.problems == [
        "Images left out, as links to others and sparse files are: 4 in 1 of 1 shards. "
        f"{path}: 'link.jpg', 'sym.jpg', 'pipe.jpg', ..."
    ]


def test_of_a_member_that_is_there_twice_the_last_counts(tmp_path: Path) -> None:
    """As `tar -r` adds it, and as `tarfile` reads it; under the same path, however it is written."""
    path = tmp_path / "a.tar"
    members = [("./a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"new"), ("b.png", b"hidden"), ("c//d.jpg", b"x")]
    path.write_bytes(b"".join(member(*one) for one in [*members, ("c/d.jpg", b"y")]) + bytes(1024))
    shards = ShardSet([shard := TarShard(str(path), tmp_path / "cache")])
    assert {key: shard.read(n) for n, key in enumerate(shard.keys())} == {"a": b"new", "b": b"b", "c/d": b"y"}
    with tarfile.open(path) as archive:
        assert archive.extractfile("a.jpg").read() == b"new"
    assert shards.problems == [
        f"Images hidden by others of the same key: 1 in 1 of 1 shards. {path}: 'b.png'",
        "Images that come again under the same name, of which the last counts, as for tar: 2 in 1 of 1 shards. "
        f"{path}: 'a.jpg', 'c/d.jpg'",
    ]


class Failing(io.BytesIO):
    """A file on a disk, or in a network, that fails once it is read from."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 1024:
            raise TimeoutError("the line is dead")
        return super().read(size)


def test_what_a_network_or_disk_fails_at_is_not_kept_as_damage_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = member("0.jpg", b"first") + member("1.jpg", b"second") + bytes(1024)
    path, address = tmp_path / "a.tar", "memory://failing/a.tar"
    path.write_bytes(contents)
    fsspec.filesystem("memory").pipe("/failing/a.tar", contents)
    with monkeypatch.context() as failing:
        failing.setattr(MemoryFileSystem, "open", lambda *_, **__: Failing(contents))
        failing.setattr(tar_index, "open", lambda *_, **__: Failing(contents), raising=False)
        for place in (str(path), address):
            with pytest.raises(InputError, match=f"^{place}: expected .* that can be read, got .*the line is dead"):
                TarShard(place, tmp_path / "cache").keys()
    for place in (str(path), address):
        shard = TarShard(place, tmp_path / "cache")
        assert (shard.keys(), shard.head.problem) == (["0", "1"], "")

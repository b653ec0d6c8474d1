"""Tar shards and folders: each image found, read by offset, named when it is damaged; compared with `tarfile`."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from regionloss.data.shards import tar_index as indices
from regionloss.data.shards.paths import expand
from regionloss.data.shards.shards import FolderShard, ShardSet, TarShard, find_shards
from regionloss.data.shards.source import open_source
from regionloss.data.shards.tar_index import key_of
from regionloss.errors import InputError


def png(shade: int, size: tuple[int, int] = (12, 10)) -> bytes:
    contents = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(contents, "PNG")
    return contents.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> bytes:
    contents = io.BytesIO()
    with tarfile.open(fileobj=contents, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path.write_bytes(contents.getvalue())
    return contents.getvalue()


MEMBERS = {
    "00000.jpg": b"first",
    "00000.json": b"{}",
    "00000.txt": b"a caption",
    "deep/er/00001.seg.png": b"mask",
    "deep/er/00001.png": b"second",
    "deep/er/00002.webp": b"third" * 300,
    "._00003.jpg": b"a Mac's",
    "notes.md": b"no image",
    f"{'long' * 40}/00004.jpg": b"a name of more than a hundred characters",
}


def test_images_of_a_tar_are_read_by_key(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", MEMBERS)
    shard = TarShard(str(tmp_path / "a.tar"), tmp_path / "cache")
    assert shard.keys() == ["00000", "deep/er/00001", "deep/er/00002", f"{'long' * 40}/00004"]
    read = [shard.read(i) for i in reversed(range(4))][::-1]
    assert read == [b"first", b"second", b"third" * 300, b"a name of more than a hundred characters"]
    assert not shard.head.problem


def files_of(handle: IO[bytes]) -> list[dict[str, Any]]:
    with tarfile.open(fileobj=handle) as archive:
        return [{"fname": member.name, "data": b"x", "__url__": ""} for member in archive]


def test_keys_are_webdatasets(tmp_path: Path) -> None:
    """The `webdataset` package's own keys of the same file."""
    import webdataset as wds

    members = dict.fromkeys(("0.jpg", "a/1.seg.png", "a.b/2.png", "c/d.e/3.x.jpg"), b"x")
    write_tar(tmp_path / "a.tar", members)
    with open(tmp_path / "a.tar", "rb") as handle:
        theirs = [s["__key__"] for s in wds.tariterators.group_by_keys(files_of(handle))]
    assert theirs == [key_of(name) for name in members]


def test_the_index_is_kept_and_made_anew_when_the_file_changes(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.tar", tmp_path / "cache"
    write_tar(path, {"0.jpg": b"old"})
    assert TarShard(str(path), cache).keys() == ["0"]
    (kept,) = cache.iterdir()
    head, body = map(json.loads, kept.read_text().splitlines())
    assert len(TarShard(str(path), cache)) == head["images"] == 1
    kept.write_text(f"{json.dumps(head)}\n{json.dumps(body | {'keys': ['from the cache']})}\n")
    assert TarShard(str(path), cache).keys() == ["from the cache"]
    write_tar(path, {"0.jpg": b"new", "1.jpg": b"x"})
    os.utime(path, ns=(1, 1))
    assert TarShard(str(path), cache).keys() == ["0", "1"]
    for damaged in ("{ cut off", "[]", kept.read_text().splitlines()[0]):
        kept.write_text(damaged)
        assert TarShard(str(path), cache).keys() == ["0", "1"]


def test_a_truncated_tar_gives_what_came_before_and_says_so(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", {f"{i}.jpg": bytes(2000) for i in range(4)})
    for cut, count in ((5000, 1), (512 * 5 + 100, 1), (512 * 10, 2), (7000, 2), (100, 0)):
        (tmp_path / "a.tar").write_bytes(whole[:cut])
        shard = TarShard(str(tmp_path / "a.tar"), tmp_path / "cache")
        assert len(shard) == len(shard.keys()) == len(TarShard(shard.path, shard.cache)) == count
        assert TarShard(shard.path, shard.cache).head.problem == shard.head.problem
        assert f"{count} images before that are used" in shard.head.problem
        assert all(shard.read(i) == bytes(2000) for i in range(count))


def test_not_a_tar_and_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"<html>not found</html>" * 100)
    shard = TarShard(str(tmp_path / "a.tar"), tmp_path / "cache")
    assert shard.keys() == []
    assert "cannot be read" in shard.head.problem
    with pytest.raises(InputError, match="nothing there"):
        TarShard(str(tmp_path / "b.tar"), tmp_path / "cache").keys()


def test_a_shard_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", {"0.jpg": bytes(3000)})
    shard = TarShard(str(tmp_path / "a.tar"), tmp_path / "cache")
    assert shard.keys()
    (tmp_path / "a.tar").write_bytes(whole[:1000])
    with pytest.raises(InputError, match="has changed since it was indexed"):
        shard.read(0)


def test_shards_travel_to_other_processes_closed(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"0.jpg": b"x" * 50})
    shard = TarShard(str(tmp_path / "a.tar"), tmp_path / "cache")
    shard.read(0)
    other = pickle.loads(pickle.dumps(shard))
    assert other._open is None
    assert other.read(0) == b"x" * 50
    shard.forget()
    assert shard.read(0) == b"x" * 50


@pytest.mark.parametrize("chained", ["", "simplecache::"])
def test_addresses_are_opened_through_fsspec(tmp_path: Path, chained: str) -> None:
    write_tar(tmp_path / "a.tar", MEMBERS)
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/00000.tar", (tmp_path / "a.tar").read_bytes())
    memory.pipe("/bucket/00001.tar", (tmp_path / "a.tar").read_bytes())
    shards = find_shards(chained + "memory://bucket/{00000..00001}.tar", tmp_path / "cache")
    assert [len(shard.keys()) for shard in shards] == [4, 4]
    assert shards[1].read(2) == b"third" * 300
    assert [shard.path for shard in find_shards("memory://bucket/*.tar", tmp_path)] == [
        "memory:///bucket/00000.tar",
        "memory:///bucket/00001.tar",
    ]


def test_a_folder_elsewhere(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("x/1.png", "0.png", "readme.txt"):
        memory.pipe(f"/pictures/{name}", name.encode())
    (shard,) = find_shards("memory://pictures", tmp_path)
    assert shard.keys() == ["0.png", "x/1.png"]
    assert shard.read(1) == b"x/1.png"


def test_folders_hold_images_or_tar_files(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / ".hidden").mkdir()
    for name in ("b.PNG", "a.jpg", "sub/c.webp", ".hidden/d.png", "notes.txt"):
        (tmp_path / "photos" / name).write_bytes(name.encode())
    (shard,) = find_shards(str(tmp_path / "photos"))
    assert isinstance(shard, FolderShard)
    assert shard.keys() == ["a.jpg", "b.PNG", "sub/c.webp"]
    assert [shard.read(i) for i in range(3)] == [b"a.jpg", b"b.PNG", b"sub/c.webp"]
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "1.tar", {"0.jpg": b"x"})
    write_tar(tmp_path / "tars" / "0.tar", {"0.jpg": b"x"})
    assert [Path(s.path).name for s in find_shards(str(tmp_path / "tars"), tmp_path / "c")] == ["0.tar", "1.tar"]


def test_links_to_folders_are_followed_each_folder_once(tmp_path: Path) -> None:
    """Loops, links to what the folder lies in, two links to one folder, and one into the folder itself."""
    photos, elsewhere = tmp_path / "data" / "photos", tmp_path / "elsewhere"
    for path in (
        photos / "sub" / "a.jpg",
        photos / "b.jpg",
        elsewhere / "deep" / "c.jpg",
        tmp_path / "data" / "no.jpg",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    links = {"more": elsewhere, "self": photos, "up": "..", "sub/back": "..", "again": elsewhere, "known": "sub"}
    links |= {"deeper": elsewhere / "deep", ".hidden": elsewhere, "nothing": "nowhere"}
    for name, target in links.items():
        (photos / name).symlink_to(target)
    (elsewhere / "home").symlink_to(tmp_path)
    (elsewhere / "deep" / "round").symlink_to("..")
    (photos / "one.png").symlink_to(elsewhere / "deep" / "c.jpg")
    shards = ShardSet([shard := FolderShard(str(photos))])
    found = {key: shard.read(number) for number, key in enumerate(shard.keys())}
    assert found == {"again/deep/c.jpg": b"c.jpg", "b.jpg": b"b.jpg", "one.png": b"c.jpg", "sub/a.jpg": b"a.jpg"}
    assert shard.left == {
        "closed": ["again/deep/round", "again/home", "deeper", "known", "more", "self", "sub/back", "up"]
    }
    (note,) = shards.problems
    assert note.startswith(
        "Folders left out, as they cannot be opened or are links to what is looked through anyway: 8"
    )
    assert open_source(str(photos)).others == {"nothing": 1}


def test_braces_are_those_of_webdataset() -> None:
    """Against `braceexpand`, which webdataset uses."""
    import braceexpand

    for pattern in ("a/{00000..00012}.tar", "{a,b}/{8..11}.tar", "x{098..101}", "plain.tar", "s3://b/{0..2}-{00..01}"):
        assert expand(pattern) == list(braceexpand.braceexpand(pattern))
    for pattern in ("{train/{0..2},test/{00..01}}.tar", "{a,b{c,d{1..2}}}x{,y}", "{{a,b},{c,d}}"):
        assert expand(pattern) == list(braceexpand.braceexpand(pattern))
    assert expand(["{1..2}", "b"]) == ["1", "2", "b"]
    assert expand("~/a.tar") == [str(Path.home() / "a.tar")]


@pytest.mark.parametrize("pattern", ["a{5..3}.tar", "a{x}.tar", "a{}.tar", "a{1..}.tar", "{0..{1..2}}", "{{a,b}}"])
def test_braces_that_make_no_sense(pattern: str) -> None:
    with pytest.raises(InputError, match="expected a range"):
        expand(pattern)


def test_an_unknown_protocol_is_a_sentence() -> None:
    with pytest.raises(InputError, match="an address that can be opened"):
        TarShard("nowhere://a.tar").keys()


def test_file_systems_may_order_their_parameters_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """As s3fs does, whose `cat_file` takes a version second."""

    class Versioned(MemoryFileSystem):
        def cat_file(self, path, version_id=None, start=None, end=None, **options):
            assert version_id is None
            return super().cat_file(path, start=start, end=end, **options)

    monkeypatch.setattr(indices, "file_system", lambda path: (Versioned(), path))
    for size in (0, 10, 100_000, 200_000):
        contents = random.Random(size).randbytes(size)
        fsspec.filesystem("memory").pipe_file("/a.tar", contents)
        ends = contents[:65536] + contents[max(65536, size - 65536) :]
        assert indices.mark_of("/a.tar") == f"{size}-{sha256(ends).hexdigest()[:32]}"

"""Tar files of plain files are read quickly, and as `tarfile` reads them; all others are left to it."""

from __future__ import annotations

import io
import random
import tarfile

import pytest

from regionloss.data.shards import tar_headers
from regionloss.data.shards.tar_headers import Contents, read_contents, read_plain

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
NAMES = (
    "a.jpg", "a.txt", "./b.png", "c//d.jpg", "a.jpg", "sub/._e.jpg", "sub/é.jpg", "sub/\udce9.jpg", "none", "a.b/c.JPG",
    "x" * 90 + ".jpg", f"{'y' * 120}/{'z' * 90}.webp", f"{'long/' * 25}name.jpg", f"{'l' * 90}/{'n' * 60}.jpg",
)  # fmt: skip


def tar_of(names: tuple[str, ...], form: int, seed: int = 0) -> bytes:
    """Return a tar file of files and folders, written by Python."""
    rng, out = random.Random(seed), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=form, errors="surrogateescape") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.mtime = 1.7e9 + rng.random() if form == tarfile.PAX_FORMAT else 7  # as `tar.add` has it
            info.size = rng.choice((0, 1, 511, 512, 513, 3000))
            archive.addfile(info, io.BytesIO(rng.randbytes(info.size)))
            if rng.random() < 0.2:
                folder = tarfile.TarInfo(f"folder of {name}"[:99])
                folder.type = tarfile.DIRTYPE
                archive.addfile(folder)
    return out.getvalue()


def by_tarfile(contents: bytes, monkeypatch: pytest.MonkeyPatch) -> Contents:
    """Read a tar file with `tarfile` alone."""
    with monkeypatch.context() as slow:
        slow.setattr(tar_headers, "read_plain", lambda handle, size: None)
        return read_contents(io.BytesIO(contents))


@pytest.mark.parametrize("form", FORMATS)
def test_plain_files_are_those_of_tarfile(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fitting = [name for name in NAMES if {"ustar": len(name) < 99, "pax": name.isprintable()}.get(form, True)]
    contents = tar_of(tuple(fitting), FORMATS[form])
    found = read_plain(io.BytesIO(contents), len(contents))
    assert found is not None
    assert vars(found) == vars(by_tarfile(contents, monkeypatch))
    assert len(found.images) > 4
    with tarfile.open(fileobj=io.BytesIO(contents)) as archive:
        for member in found.images.values():
            assert contents[member.start : member.start + member.size] == archive.extractfile(member.name).read()


def test_damage_is_what_tarfile_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes changed in headers and elsewhere (half of them with a checksum that fits), ends cut off, zeros added."""
    rng, quick = random.Random(0), 0
    for seed in range(300):
        whole = bytearray(tar_of(tuple(rng.sample(NAMES[:9], 3)), rng.choice(list(FORMATS.values())), seed))
        at = rng.randrange(0, len(whole) // 512) * 512 if rng.random() < 0.5 else 0
        place = at + rng.choice((rng.randrange(512), rng.randrange(100, 160), rng.randrange(124, 157)))
        whole[place] = rng.choice((0, 32, 47, 48, 49, 53, 55, 76, 95, 103, 120, 128, 255))
        if rng.random() < 0.5:
            whole[at + 148 : at + 156] = b" " * 8
            whole[at + 148 : at + 156] = b"%06o\0 " % sum(whole[at : at + 512])
        contents = bytes(whole[: rng.choice((None, None, -512, -700, -11000))]) + bytes(rng.choice((0, 0, 3, 512)))
        quick += read_plain(io.BytesIO(contents), len(contents)) is not None
        assert vars(read_contents(io.BytesIO(contents))) == vars(by_tarfile(contents, monkeypatch)), seed
    assert 30 < quick < 270

"""Bundles of weight files with odd manifests, names and contents, brought into the cache by `weights import`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

from regionloss.errors import RegionLossError
from regionloss.hooks.records import WeightRecord
from regionloss.weights.bundles import import_bundle
from tests.fuzz.damage import NAMES, ODD, bytes_of, values_of
from tests.fuzz.judging import Fault, Said, command

FILES = {"a.pt": b"weights a" * 50, "vgg16-397923af.pth": b"weights v" * 40, "c.bin": b""}
ODD_NAMES = (
    *NAMES, "../a.pt", "/abs/a.pt", "a/b.pt", "..", ".", ".hidden", "C:a.pt", "a\\b", "manifest.json", "x" * 300,
    "a\0b", "vgg16-397923af.safetensors", "A.PT",
)  # fmt: skip
REGISTERED = ("face/mtcnn", "core/vgg16", "text/ppocr-v6", "core/lpips-vgg")


RECORDS = [
    WeightRecord(
        plugin="tiny", name=str(number), filename=name, size=len(held), sha256=hashlib.sha256(held).hexdigest(),
        licence="MIT", source="path:", summary="s", distribution="regionloss-tiny", version="1",
    )
    for number, (name, held) in enumerate(FILES.items())
]  # fmt: skip


def manifest_of(rng: random.Random) -> dict[str, Any]:
    """Return a whole manifest of the files."""
    lines = [
        {
            "name": rng.choice((f"tiny/{name}", *REGISTERED)) if rng.random() < 0.3 else f"tiny/{number}",
            "filename": name,
            "sha256": hashlib.sha256(contents).hexdigest(),
            "size": len(contents),
            "licence": "MIT",
            "source": "path:",
        }
        for number, (name, contents) in enumerate(FILES.items())
    ]
    return {"version": 1, "files": lines}


def odd(rng: random.Random) -> Any:
    """Return a value for a place in a manifest."""
    return rng.choice((*ODD_NAMES, *ODD))


def packed(rng: random.Random, files: dict[str, bytes], folder: Path) -> Path:
    """Write a bundle: a folder, or a tar file, with a link among its files now and then."""
    if rng.random() < 0.3:
        bundle = folder / "bundle"
        bundle.mkdir()
        for name, contents in files.items():
            (bundle / name).write_bytes(contents)
        if rng.random() < 0.2:
            (bundle / "a.pt").unlink(missing_ok=True)
            (bundle / "a.pt").symlink_to("/etc/hostname")
        return bundle
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=rng.choice(("w", "w:gz"))) as archive:
        for name, contents in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            if rng.random() < 0.03:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/hostname", 0
            archive.addfile(info, io.BytesIO(contents))
        if rng.random() < 0.1:
            info = tarfile.TarInfo("huge.pt")
            info.size = rng.choice((2**33, 2**63, 2**80))
            archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
    path = folder / "bundle.tar"
    path.write_bytes(bytes_of(rng, out.getvalue()) if rng.random() < 0.3 else out.getvalue())
    return path


def brought(bundle: Path) -> Said:
    """Import a bundle of files that are registered."""
    try:
        lines = import_bundle(bundle, RECORDS)
    except RegionLossError as error:
        return Said(1, "", str(error))
    return Said(0, "".join(f"{line.filename}: imported\n" for line, new in lines if new), "")


def fuzz(rng: random.Random, folder: Path) -> None:
    """Import a bundle: only whole files under plain names reach the cache, and nothing is left behind elsewhere."""
    data, registered = manifest_of(rng), rng.random() < 0.6
    if registered:
        for line, record in zip(data["files"], RECORDS, strict=True):
            line["name"] = record.canonical
    if rng.random() < (0.3 if registered else 0.8):
        data = values_of(rng, data, odd)
    text = json.dumps(data).encode()
    if rng.random() < 0.15 and not registered:
        text = rng.choice((bytes_of(rng, text), b"[" * 100_000, b'{"a":' * 50_000, b"9" * 50_000))
    files = {name: bytes_of(rng, contents) if rng.random() < 0.1 else contents for name, contents in FILES.items()}
    bundle = packed(rng, {**files, "manifest.json": text}, folder)
    said = brought(bundle) if registered else command("weights", "import", str(bundle))
    cache = folder / "home" / "weights"
    found = {path for path in cache.rglob("*") if path.is_file()} if cache.is_dir() else set()
    for path in found:
        if path.parent != cache or path.name.startswith(".part"):
            raise Fault(f"left in the cache: {path.relative_to(folder)}")
        if path.read_bytes() not in FILES.values():
            raise Fault(f"{path.name}: other contents than the bundle's")
    around = {os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    if stray := {name for name in around if not name.startswith(("home/weights/", "bundle"))}:
        raise Fault(f"written elsewhere: {sorted(stray)}")
    if said.code and found:
        raise Fault(f"refused, and yet in the cache: {sorted(path.name for path in found)}: {said.err[:160]}")
    if said.code == 0 and said.out.count("imported") > len(found):
        raise Fault(f"said to be imported: {said.out[:160]}; in the cache: {sorted(path.name for path in found)}")

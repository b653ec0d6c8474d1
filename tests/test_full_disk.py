"""A disk that takes no more, in the middle of every kind of file: a sentence names it, no part of it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drills.small_disk import SmallDisk

#: Each writes some 200 kB on a disk of 64; the arguments are the disk, and a folder of another.
SCRIPT = """
import gzip, hashlib, json, os, random, sys
from pathlib import Path

import torch
from PIL import Image

from regionloss.pictures.boxes import save
from regionloss.data.shards.tar_index import indexed
from regionloss.data.sidecars.sidecar import Sidecar, write_sidecar
from regionloss.hooks.records import WeightRecord
from regionloss.data.shards.source import copy
from regionloss.weights.bundles import export_bundle, import_bundle
from regionloss.weights.convert import convert

disk, away = map(Path, sys.argv[1:])
noise = random.Random(0).randbytes(200_000)
os.environ["REGIONLOSS_HOME"] = str(away)
(away / "weights").mkdir()
(away / "weights/a.pt").write_bytes(noise)
values = dict(name="a", plugin="tiny", distribution="tiny", version="1", filename="a.pt", size=len(noise))
values |= dict(source="pip:tiny==1.0:a.pt", licence="", summary="", sha256=hashlib.sha256(noise).hexdigest())
record = WeightRecord(**values)
export_bundle(away / "bundle", [record])
torch.save({"a": torch.randn(50_000)}, away / "large.pt")
(away / "packed.tar").write_bytes(gzip.compress(noise))

def row(key):
    text = random.Random(key).randbytes(50_000).hex()
    region = dict(kind="sign", box=[0, 0, 1, 1], quad=None, keypoints=None, score=1.0, text=text)
    return dict(key=key, width=9, height=9, scans=[], regions=[region | {"detector": "x"}])

def bring():
    os.environ["REGIONLOSS_HOME"] = str(disk)
    import_bundle(away / "bundle", [record])

small = Sidecar.of([])
write_sidecar(str(disk / "old.regions.parquet"), small)
writers = {
    "side-car": lambda: write_sidecar(str(disk / "old.regions.parquet"), Sidecar.of([row(str(n)) for n in range(9)])),
    "side-car in a folder": lambda: write_sidecar(str(disk / "new/a.regions.parquet"), Sidecar.of(map(row, "01"))),
    "picture": lambda: save(Image.frombytes("RGB", (250, 250), noise[:187_500]), disk / "picture.png"),
    "export": lambda: export_bundle(disk / "bundle", [record]),
    "export as tar": lambda: export_bundle(disk / "bundle.tar", [record]),
    "import": bring,
    "convert": lambda: convert(away / "large.pt", disk / "large.safetensors"),
    "copy of a packed tar": lambda: copy(str(away / "packed.tar"), str(disk / "unpacked.tar")),
}
before = (disk / "old.regions.parquet").read_bytes()
said = {}
for name, write in writers.items():
    try:
        write()
        said[name] = "nothing"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
(disk / "unpacked.tar").unlink()  # lies in a temporary folder as a rule
left = sorted(str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file())
print(json.dumps([said, left, before == (disk / "old.regions.parquet").read_bytes()]))
"""


def test_a_full_disk_is_named_and_no_half_of_a_file_is_left(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    try:
        disk = SmallDisk(tmp_path / "disk", "64k")
    except PermissionError as error:
        pytest.skip(str(error))
    with disk:
        words = disk.command([sys.executable, "-c", SCRIPT, str(disk.folder), str(away)])
        ended = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stderr
    said, left, same = json.loads(ended.stdout)
    for name, sentence in said.items():
        assert sentence.startswith(f"DiskError: {disk.folder}/"), (name, sentence)
        assert f"got No space left on device (the disk at {disk.folder} has 0." in sentence, (name, sentence)
    assert left == ["old.regions.parquet"]
    assert same

"""Shards at presigned addresses: what signs them is in no file, no sentence, and no reason to look again."""

from __future__ import annotations

from pathlib import Path

import fsspec
from shards import PLUGIN, random_shard
from test_annotator import annotate, boxes_of
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import read_sidecar


def test_another_signature_is_no_other_shard_and_none_is_written_down(tmp_path: Path) -> None:
    memory, out = fsspec.filesystem("memory"), str(tmp_path / "out")
    contents, boxes = random_shard(3)
    for signature in ("FIRST" * 200, "SECOND"):
        memory.pipe(f"/presigned/0.tar?X-Amz-Signature={signature}", contents)
    (first,) = annotate(f"memory://presigned/{{0..0}}.tar?X-Amz-Signature={'FIRST' * 200}", out=out)
    assert boxes_of(read_sidecar(f"{out}/0.regions.parquet")) == {key: [list(box)] for key, box in boxes.items()}
    assert first.job.shard == "memory://presigned/0.tar"
    assert annotate("memory://presigned/0.tar?X-Amz-Signature=SECOND", out=out) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.regions.parquet", "0.stats.json"]
    assert not any(b"FIRST" in path.read_bytes() for path in (tmp_path / "out").iterdir())


def test_a_shard_that_is_not_there_is_named_without_its_signature(tmp_path: Path) -> None:
    words = ["--detectors", "red", "--plugin", PLUGIN, "--out", str(tmp_path), "--decoders", "1"]
    said = CliRunner().invoke(app, ["annotate", "memory://presigned/none.tar?X-Amz-Signature=SECRET", *words])
    assert said.exit_code == 1
    assert "memory://presigned/none.tar: there is no such file." in said.output
    assert "SECRET" not in said.output

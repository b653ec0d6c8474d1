"""`regionloss tokenize` as typed, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from insighttok_ref.tokens.shards import TokenShards
from insighttok_ref.tokens.stage import Tokenize
from regionloss.data.annotate.executor import There
from regionloss.data.images import to_tensor
from regionloss.errors import InputError
from tests.insighttok_ref.cli.test_reconstruct import typed
from tests.insighttok_ref.tokens.images import picture, saved, tokenizer, write_tar, write_tars

WORDS = ("--checkpoint", "tokenizer.safetensors", "--size", 16, "--out", "tokens")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "tokenizer.safetensors")
    return tmp_path


def test_tokens_are_those_of_the_middle_square(here: Path) -> None:
    write_tars(here / "shards", 2)
    code, said = typed("tokenize", "shards/{000..001}.tar", *WORDS)
    assert code == 0, said
    assert "2 tokenized, 0 done already, 0 failed" in said
    model = tokenizer()
    assert f"tokenizer {model.fingerprint[:12]}, 300 codes, 8 x 8 ids of 16 pixels" in said
    shards = TokenShards("tokens", model.fingerprint, captions=True)
    assert (shards.header.grid, shards.header.codes, len(shards)) == ((8, 8), 300, 6)
    for number, row in enumerate(shards):
        with Image.open(BytesIO(picture(number))) as image:
            left = (image.width - 16) // 2
            square = image.crop((left, 0, left + 16, 16))
        with torch.no_grad():
            assert row.ids.equal(model.encode(to_tensor([square]))[0])
        assert row.caption == f"picture {row.key}"
    assert len({tuple(row.ids.tolist()) for row in shards}) == 6
    assert typed("tokenize", "shards", *WORDS)[1].strip() == "All 2 shards are done already."


def test_captions_of_a_folder_and_images_that_are_none(here: Path) -> None:
    (here / "photos" / "in").mkdir(parents=True)
    for name in ("a.png", "b.png", "in/c.png"):
        (here / "photos" / name).write_bytes(picture(1))
    (here / "photos" / "d.png").write_bytes(b"none")
    (here / "photos" / "a.txt").write_text(" a cat \n")
    (here / "photos" / "a.json").write_text('{"caption": "not this one"}')
    (here / "photos" / "in" / "c.json").write_text('{"caption": "a dog", "url": 3}')
    code, said = typed("tokenize", "photos", *WORDS)
    assert code == 0, said
    assert "4, 3 of them with tokens" in said
    shards = TokenShards("tokens")
    assert {row.key: row.caption for row in shards} == {"a.png": "a cat", "b.png": None, "in/c.png": "a dog"}
    assert list(shards.header.unreadable) == ["d.png"]
    # A caption that is added is seen.
    (here / "photos" / "b.txt").write_text("a bird")
    assert typed("tokenize", "photos", *WORDS)[0] == 0
    assert TokenShards("tokens", captions=False)[1].caption == "a bird"


def test_a_folder_has_tokens_of_one_tokenizer(here: Path) -> None:
    write_tars(here / "shards", 1)
    assert typed("tokenize", "shards", *WORDS)[0] == 0
    saved(here / "tokenizer.safetensors", seed=1)
    code, said = typed("tokenize", "shards", *WORDS)
    assert code != 0
    wanted = tokenizer(1).fingerprint[:12]
    assert f"tokens/000.tokens.parquet: expected tokens of this run (tokenizer {wanted}, 300 codes" in said
    assert f"others (tokenizer {tokenizer().fingerprint[:12]}," in said
    assert "Say another --out." in said


def test_troubles_are_sentences(here: Path) -> None:
    write_tar(here / "bad" / "000.tar", {"0.png": b"none", "1.png": b"none"})
    write_tars(here / "bad2", 1)
    code, said = typed("tokenize", "bad", "bad2/{000..001}.tar", *WORDS)
    assert code != 0
    write_tar(here / "bad2" / "001.tar", {"0.png": b"none", "1.png": b"none"})
    code, said = typed("tokenize", "bad2", *WORDS)
    assert code == 1
    assert "bad2/001.tar: none of 2 images can be read. " in said
    assert "1 tokenized, 0 done already, 1 failed" in said
    for words, sentence in (
        ((*WORDS[:2], "--size", 15, "--out", "t"), "--size: expected a multiple of 2, got 15. Try 16."),
        ((*WORDS[:4], "--out", ""), "--out: expected a folder, got ''."),
        ((*WORDS, "--task", 1), "--task: expected --task and --tasks together, got one of them."),
        ((*WORDS, "--engine", "slurm"), "--engine slurm: expected the task of an array, got no SLURM_ARRAY_TASK_ID."),
        (
            (*WORDS, "--engine", "ray", "--device", "cuda:1"),
            "expected auto, cpu or cuda with --engine ray, got 'cuda:1'",
        ),
        ((*WORDS, "--device", "cuda:99"), "--device: expected a device of this machine, got 'cuda:99'. "),
        ((*WORDS[:4], "--out", "bad2/001.tar"), "--out: expected a folder that can be written to, got "),
        (("--checkpoint", "none.pt", "--out", "t"), "none.pt: there is no such file."),
    ):
        code, said = typed("tokenize", "bad2", *words)
        assert code != 0
        assert sentence in said


def test_what_was_killed_goes_on(here: Path) -> None:
    write_tars(here / "shards", 12, images=2)
    command = [sys.executable, "-m", "regionloss", "tokenize", "shards", *map(str, WORDS)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 120
    while not list(here.glob("tokens/00[1-9].tokens.npy")) and time.monotonic() < until:
        assert killed.poll() is None
        time.sleep(0.001)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = len(list(here.glob("tokens/*.tokens.parquet")))
    assert 0 < before < 12
    assert typed("tokenize", "shards", *WORDS)[0] == 0
    assert typed("tokenize", "shards", *WORDS[:-1], "whole", "--workers", 1)[0] == 0
    assert contents(here / "whole") == contents(here / "tokens")
    assert len(TokenShards("tokens")) == 24


def test_what_is_cut_off_is_told(here: Path) -> None:
    write_tars(here / "shards", 1)
    shard = here / "shards" / "000.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    code, said = typed("tokenize", "shards", *WORDS)
    assert code == 0, said
    assert "1 tokenized" in said
    assert "000.tar" in said
    assert len(TokenShards("tokens")) < 3


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.filterwarnings("ignore")
def test_every_engine_writes_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    write_tars(here / "shards", 5)

    def said(out: str, *words: object) -> str:
        code, told = typed("tokenize", "shards", *WORDS[:-1], out, "--device", "cpu", *words)
        assert code == 0, told
        return told

    said("one")
    assert "5 tokenized, 0 done already, 0 failed" in said("processes", "--workers", 2)
    assert "5 tokenized, 0 done already, 0 failed" in said("actors", "--engine", "ray")
    for task, count in enumerate((2, 2, 1)):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
        assert f"{count} tokenized, 0 done already" in said("tasks", "--engine", "slurm")
    for out in ("processes", "actors", "tasks"):
        assert contents(here / out) == contents(here / "one")
    assert said("actors", "--engine", "ray").strip() == "All 5 shards are done already."


def test_a_node_with_another_tokenizer_is_refused(here: Path) -> None:
    how = Tokenize(here / "tokenizer.safetensors", 16)
    does = how().does
    assert There(how, does, "cpu")(1).does == does
    saved(here / "tokenizer.safetensors", seed=1)
    wanted = f"expected tokenizer {tokenizer().fingerprint[:12]}, .* as where it was started, got tokenizer "
    with pytest.raises(InputError, match=wanted + tokenizer(1).fingerprint[:12]):
        There(how, does, "cpu")(1)


def test_several_machines_share_shards(here: Path) -> None:
    write_tars(here / "shards", 3)
    for task in (0, 1):
        assert typed("tokenize", "shards", *WORDS, "--task", task, "--tasks", 2)[0] == 0
    assert np.unique([row.key for row in TokenShards("tokens")]).size == 9

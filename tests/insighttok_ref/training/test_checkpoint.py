"""Checkpoints are whole or not there, the last good one stays, and a damaged one is refused by name."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from insighttok_ref.training.checkpoint import Checkpoints, read_state
from insighttok_ref.training.metrics_log import MetricsLog
from regionloss.errors import DiskError, WeightsError
from tests.full_disk import FULL, full_disk


class Bytes(NamedTuple):
    held: bytes

    def write(self, file: Path) -> None:
        file.write_bytes(self.held)


class Crash:
    def write(self, file: Path) -> None:
        file.write_text("half")
        raise KeyboardInterrupt


class Gate:
    """Lets nothing be written until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __deepcopy__(self, memo: object) -> Gate:
        return self

    def write(self, file: Path) -> None:
        assert self.opened.wait(60)
        file.touch()


def saved(folder: Path, *steps: int, keep: int = 2) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(step, {"weights": torch.full((300,), float(step))}, {"shard": Bytes(b"")})
    return checkpoints


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 5, 10, 100)
    assert [path.name for path in checkpoints.all()] == ["step-00000010", "step-00000100"]
    assert read_state(checkpoints.newest())["weights"][0] == 100
    assert {p.name for p in checkpoints.newest().iterdir()} == {"state.pt", "shard", "manifest.json"}


def test_a_crash_while_saving_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, {}, {"shard": Crash()})
    assert checkpoints.newest().name == "step-00000001"
    checkpoints.save(2, {"weights": torch.zeros(1)})  # what the crash left is in nobody's way
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []
    assert checkpoints.newest().name == "step-00000002"


def test_a_kill_leaves_nothing_behind_for_ever(tmp_path: Path) -> None:
    """What was being written at a step that is never saved again goes with the next save."""
    checkpoints = saved(tmp_path, 1)
    (tmp_path / "step-00000007.tmp").mkdir()
    checkpoints.save(9, {"weights": torch.zeros(1)})
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []


def test_the_same_step_again_replaces_it_only_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part's end has the step of its last checkpoint, which may be the only one."""
    checkpoints = saved(tmp_path, 1)
    removed = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: removed.append((path.name, final.exists())))
    final = tmp_path / "step-00000001"
    checkpoints.save(1, {"weights": torch.full((1,), 5.0)})
    assert removed == [("step-00000001.old.tmp", True)]
    assert read_state(checkpoints.newest())["weights"][0] == 5


def test_the_background_writes_what_was_there_and_holds_nobody_up(tmp_path: Path) -> None:
    """Against the hashes of a save that waits: weights that go on changing meanwhile are saved as they were."""
    weights = torch.arange(1000.0)
    before = Checkpoints(tmp_path / "a").save(7, {"weights": weights}, {"gate": Bytes(b""), "shard": [weights]})
    checkpoints, gate = Checkpoints(tmp_path / "b", background=True), Gate()
    folder = checkpoints.save(7, {"weights": weights}, {"gate": gate, "shard": [weights]})
    weights.zero_()
    assert not checkpoints.all()
    gate.opened.set()
    checkpoints.finish()
    assert (folder / "manifest.json").read_bytes() == (before / "manifest.json").read_bytes()
    assert checkpoints.newest() == folder
    checkpoints.close()


def test_the_next_save_waits_for_the_one_before(tmp_path: Path) -> None:
    checkpoints, gate = Checkpoints(tmp_path, background=True), Gate()
    checkpoints.save(1, {}, {"gate": gate})
    threading.Timer(0.05, gate.opened.set).start()
    checkpoints.save(2, {})
    assert (tmp_path / "step-00000001").is_dir()
    checkpoints.close()
    assert [path.name for path in checkpoints.all()] == ["step-00000001", "step-00000002"]


def save_twice(checkpoints: Checkpoints, state: dict[str, torch.Tensor]) -> None:
    """Save; once that has failed, save again."""
    checkpoints.save(2, state)
    while not checkpoints.failed:
        threading.Event().wait(0.01)
    checkpoints.save(3, {})


def test_an_error_of_the_background_is_told_by_the_same_sentence(tmp_path: Path) -> None:
    large = {"weights": torch.zeros(200_000)}
    sentences = []
    for background in (False, True):
        checkpoints = Checkpoints(tmp_path / "run", background=background)
        checkpoints.save(1, {"weights": torch.ones(1)})
        checkpoints.finish()
        with full_disk(), pytest.raises(DiskError) as caught:
            save_twice(checkpoints, large)
        sentences.append(str(caught.value))
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["step-00000001"]
        assert read_state(checkpoints.newest())["weights"][0] == 1
        checkpoints.close()
    assert sentences[0] == sentences[1]


def test_a_full_disk_is_named_and_the_one_before_is_whole(tmp_path: Path) -> None:
    """Both that of rank 0 and what engines write; and what was begun does not go on filling the disk."""
    checkpoints = saved(tmp_path / "run", 1)
    large = {"weights": torch.zeros(200_000)}
    for state, shards in ((large, {}), ({}, {"engine.pt": large})):
        with full_disk(), pytest.raises(DiskError) as caught:
            checkpoints.save(2, state, shards)
        sentence = f"{tmp_path}/run/step-00000002.tmp: expected a disk that takes it, got {FULL}. Make room there, and "
        assert str(caught.value) == f"{sentence}go on with --resume {tmp_path}; step-00000001 is whole."
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["step-00000001"]
        assert read_state(checkpoints.newest())["weights"][0] == 1


def test_the_same_step_again_on_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    with full_disk(), pytest.raises(DiskError):
        checkpoints.save(1, {"weights": torch.zeros(200_000)})
    assert read_state(checkpoints.newest())["weights"][0] == 1


def test_a_full_disk_is_named_by_the_log_which_keeps_what_it_had(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write({"part": "a", "step": 0})
    with full_disk(40), pytest.raises(DiskError, match=rf"metrics\.jsonl: expected a disk that takes it, got {FULL}"):
        log.write({"part": "a", "step": 1, "loss/total": 0.125})
    assert list(log.read()) == [{"part": "a", "step": 0}]
    log.forget_after(set(), "a", 1)
    log.write({"part": "a", "step": 1})
    assert [record["step"] for record in log.read()] == [0, 1]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda f: (f / "state.pt").unlink(), r"state\.pt: expected a file of \d+ bytes, got none"),
        (lambda f: (f / "state.pt").write_bytes(b"PK"), r"state\.pt: expected \d+ bytes, got 2"),
        (lambda f: flip_a_bit(f / "state.pt"), r"state\.pt: expected the contents that were saved"),
        (lambda f: (f / "shard").unlink(), r"shard: expected a file of 0 bytes, got none"),
        (lambda f: (f / "manifest.json").unlink(), r"manifest\.json: expected the list of a checkpoint's files"),
        (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json: expected the list"),
        (lambda f: (f / "manifest.json").write_text('{"files": []}'), r"manifest\.json: expected the list"),
        (lambda f: (f / "manifest.json").write_text('{"files": {}}'), r"manifest\.json: expected the list"),
    ],
)
def test_a_damaged_one_is_refused_by_name(tmp_path: Path, harm, sentence: str) -> None:
    checkpoints = saved(tmp_path, 1, 2)
    harm(tmp_path / "step-00000002")
    with pytest.raises(WeightsError, match=rf"step-00000002/{sentence}.* Delete .*step-00000002 to go on from step-00"):
        checkpoints.newest()


@pytest.mark.parametrize("place", ["shards/rank-0.pt", "a/b/c.pt"])
def test_files_in_folders_are_hashed_too(tmp_path: Path, place: str) -> None:
    """Against the bytes: what an engine writes into folders of its own is looked at like the rest."""
    checkpoints = Checkpoints(tmp_path)
    folder = checkpoints.save(1, {}, {place: Bytes(b"abc")})
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files.keys() == {"state.pt", place}
    # The digest of FIPS 180-2, appendix B.1.
    assert files[place]["sha256"].startswith("ba7816bf8f01cfea414140de5dae2223")
    (folder / place).write_bytes(b"abd")
    with pytest.raises(WeightsError, match=f"{place}: expected the contents that were saved"):
        checkpoints.newest()
    (folder / place).unlink()
    with pytest.raises(WeightsError, match=f"{place}: expected a file of 3 bytes, got none"):
        checkpoints.newest()


def test_a_state_that_holds_no_state_is_a_sentence(tmp_path: Path) -> None:
    folder = saved(tmp_path, 1).newest()
    for content, sentence in (([1], "what a run writes, got list"), ({"hook": Path("x")}, "got other objects")):
        torch.save(content, folder / "state.pt")
        with pytest.raises(WeightsError, match=sentence):
            read_state(folder)


def test_none_and_another_version(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected checkpoints, got none"):
        Checkpoints(tmp_path).newest()
    folder = saved(tmp_path, 1).newest()
    torch.save({"version": 1}, folder / "state.pt")
    with pytest.raises(WeightsError, match="expected a checkpoint of version 2, got version 1"):
        read_state(folder)


def test_the_manifest_is_readable_by_others(tmp_path: Path) -> None:
    """Against the hash of nothing that everybody knows."""
    manifest = json.loads((saved(tmp_path, 1).newest() / "manifest.json").read_text())
    assert manifest["files"]["shard"]["sha256"].startswith("e3b0c44298fc1c149afbf4c8996fb924")

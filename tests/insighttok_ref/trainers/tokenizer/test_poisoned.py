"""A run that goes on from files of a stranger runs nothing that they bring, whatever file of the checkpoint it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.training.checkpoint import UNSAID, Checkpoints
from insighttok_ref.training.manifest import MANIFEST, listed, write_manifest
from insighttok_ref.training.stop import StoppedError
from regionloss.errors import WeightsError
from tests.insighttok_ref.trainers.tokenizer.phases import DEEPSPEED, OPTIONS, interrupt, prepare, stop, train

OVERRIDES = {"plain": (), "deepspeed": (DEEPSPEED,)}
FILES = {
    "plain": ["state.pt", "tokenizer-engine.pt", "adversary-engine.pt", "random-00000.pt"],
    "deepspeed": ["state.pt", "tokenizer-engine-00000.pt", "adversary-engine-00000.pt", "random-00000.pt"],
}


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def seal(checkpoint: Path) -> None:
    """Write the hashes anew, as a stranger would."""
    names = [path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()]
    write_manifest(checkpoint, listed(checkpoint, set(names) - {MANIFEST}))


@pytest.fixture(scope="module", params=["plain", "deepspeed"])
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The engine and the folder of a run that was stopped in its second phase."""
    if request.param == "deepspeed":
        pytest.importorskip("deepspeed")
    out = tmp_path_factory.mktemp(request.param)
    with pytest.raises(StoppedError):
        train(prepare(out, *OVERRIDES[request.param]), stop(interrupt, 7))
    return request.param, out


def test_no_file_of_a_checkpoint_is_run(stopped: tuple[str, Path], tmp_path: Path) -> None:
    engine, run = stopped
    names = {path.name for path in Checkpoints(run / "checkpoints").newest().rglob("*") if path.is_file()}
    assert names == {*FILES[engine], "manifest.json"}  # every file is tried
    for number, name in enumerate(FILES[engine]):
        out, trace = tmp_path / str(number), tmp_path / f"ran {number}"
        shutil.copytree(run, out)
        checkpoint = Checkpoints(out / "checkpoints").newest()
        held = torch.load(checkpoint / name, weights_only=True)
        torch.save({**held, "hook": Hostile(trace)}, checkpoint / name)
        seal(checkpoint)
        with pytest.raises(WeightsError, match=rf"{name}: expected tensors only, got other .* do not trust it"):
            train(prepare(out, *OVERRIDES[engine], resume=True))
        assert not trace.exists()


def test_an_entry_that_is_missing_or_odd_is_named(stopped: tuple[str, Path], tmp_path: Path) -> None:
    """Each entry of each file, missing or odd in turns, with hashes that are right."""
    engine, run = stopped
    for file in FILES[engine]:
        held = torch.load(Checkpoints(run / "checkpoints").newest() / file, weights_only=True)
        names = sorted(held.keys() - {"version", "tokenizer"})
        for number, name in enumerate(names):
            rest = {key: value for key, value in held.items() if key != name}
            out = tmp_path / f"{file} {name}"
            shutil.copytree(run, out)
            checkpoint = Checkpoints(out / "checkpoints").newest()
            missing = number % 2 and name not in UNSAID
            torch.save(rest if missing else {**held, name: b"odd"}, checkpoint / file)
            seal(checkpoint)
            with pytest.raises(WeightsError, match=rf"{file}: cannot be read as a file of a checkpoint"):
                train(prepare(out, *OVERRIDES[engine], resume=True))


def test_nothing_to_start_from_is_run(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(1)}, "hook": Hostile(tmp_path / "ran")}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"x\.pt: expected tensors only, got other objects among them"):
        train(prepare(tmp_path / "run", f"{OPTIONS}start_from={tmp_path / 'x.pt'}"))
    assert not (tmp_path / "ran").exists()


def test_the_state_of_a_stopped_run_is_a_tokenizer(stopped: tuple[str, Path]) -> None:
    _, run = stopped
    state = torch.load(Checkpoints(run / "checkpoints").newest() / "state.pt", weights_only=True)
    found = read_tokenizer(run)
    assert found.kind == "ours"
    assert found.notes == ("Read from entry 'average'.",)
    assert all(torch.equal(value, state["average"][name]) for name, value in found.model.state_dict().items())


def test_files_of_deepspeed_itself_are_not_read(tmp_path: Path) -> None:
    """As runs of earlier releases have them."""
    pytest.importorskip("deepspeed")
    with pytest.raises(StoppedError):
        train(prepare(tmp_path, DEEPSPEED), stop(interrupt, 2))
    checkpoint = Checkpoints(tmp_path / "checkpoints").newest()
    (checkpoint / "tokenizer-engine-00000.pt").unlink()
    (checkpoint / "tokenizer-engine").mkdir()
    poison = {"module": {}, "hook": Hostile(tmp_path / "ran")}
    torch.save(poison, checkpoint / "tokenizer-engine" / "mp_rank_00_model_states.pt")
    seal(checkpoint)
    with pytest.raises(WeightsError, match=r"tokenizer-engine-00000\.pt: expected a file of the checkpoint, got none"):
        train(prepare(tmp_path, DEEPSPEED, resume=True))
    assert not (tmp_path / "ran").exists()

"""The drills of training: weights, the states of the engines and logged losses, bit for bit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from insighttok_ref.training.checkpoint import STATE
from insighttok_ref.training.manifest import damage
from tests.drills.base import ROOT, Command, ended, finish, regionloss
from tests.drills.small_disk import SmallDisk

RECIPES = ROOT / "tests/insighttok_ref/trainers/tokenizer"
ENGINES = ("plain", "deepspeed")
FULL = re.compile("is full|No space left")


def checkpoints(out: Path) -> list[Path]:
    """Return the whole checkpoints of a run, oldest first."""
    return sorted(path for path in out.glob("checkpoints/step-*") if path.suffix != ".tmp")


def train(recipe: str, *options: str) -> Command:
    """Return the command that trains a tiny recipe, or goes on where it was."""

    def words(out: Path) -> list[str]:
        if list(out.glob("checkpoints/step-????????")):
            return regionloss("train", str(RECIPES / recipe), "--resume", str(out), *options)
        for path in out.glob("*"):  # nothing to go on from
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return regionloss("train", str(RECIPES / recipe), "--out", str(out), *options)

    return Command(f"train {' '.join(options)}".strip(), words, logged, outcome, same)


def logged(out: Path) -> int:
    """Return how many steps are in a run's log."""
    log = out / "metrics.jsonl"
    return len(log.read_bytes().splitlines()) if log.is_file() else 0


def outcome(out: Path) -> dict[str, Any]:
    """Return what a run has learnt, and how: weights, engines, losses, and that a report is there."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found: dict[str, Any] = {"losses": [{k: v for k, v in line.items() if k != "seconds"} for line in lines]}
    found |= {str(path.relative_to(out)): load_file(path) for path in out.rglob("tokenizer.safetensors")}
    last = checkpoints(out)[-1]
    assert damage(last, STATE) is None
    for path in last.rglob("*.pt"):
        found[str(path.relative_to(out))] = torch.load(path, map_location="cpu", weights_only=False)
    found.pop(f"{last.relative_to(out)}/state.pt")  # it tells the time
    return found | {"report": (out / "report.html").is_file()}


def same(ours: Any, theirs: Any) -> bool:
    """Whether two outcomes hold the same tensors and values."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs or (ours != ours and theirs != theirs))


def engine(name: str) -> Command:
    """Return the training of three phases on an engine."""
    return train("tiny_phases.yaml", f"trainer.options.engine.name={name}")


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files, in whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def stops(words: list[str], disk: SmallDisk) -> str:
    """Run a command that must stop at a full disk; return its sentence."""
    code, error = ended(disk.command(words))
    assert code != 0, "the disk was not full"
    assert "Traceback" not in error, error
    last = error.strip().splitlines()[-1]
    assert str(disk.folder) in last, error
    assert FULL.search(last), error
    return last


def fill_checkpoint(folder: Path, name: str) -> str:
    """Let a disk take no more while a run is half done; make room, and go on."""
    command = engine(name)
    whole = finish(command, folder / "whole")
    with SmallDisk(folder / "disk", f"{size_of(folder / 'whole') * 2 // 3 // 1024}k") as disk:
        last = stops(command.words(disk.folder), disk)
        left = checkpoints(disk.outside)
        assert all(damage(path, STATE) is None for path in left)
        disk.grow("512m")
        words = command.words(disk.outside)
        code, error = ended(disk.command([word.replace(str(disk.outside), str(disk.folder)) for word in words]))
        assert code == 0, error
        assert command.same(command.outcome(disk.outside), whole)
    return f"train on {name}, full disk: {len(left)} whole checkpoints, the end as unbroken. It said: {last}"


def fill_report(folder: Path) -> str:
    """Let a disk take all but the report of a finished run; make room, and go on."""
    command = train("tiny.yaml")
    whole = finish(command, folder / "whole")
    page = (folder / "whole/report.html").stat().st_size
    (folder / "whole/report.html").unlink()
    with SmallDisk(folder / "disk", f"{(size_of(folder / 'whole') + page // 2) // 1024}k") as disk:
        code, error = ended(disk.command(["cp", "-a", f"{folder}/whole/.", str(disk.folder)]))
        assert code == 0, error
        words = regionloss("train", str(RECIPES / "tiny.yaml"), "--resume", str(disk.folder))
        last = stops(words, disk)
        assert not (disk.outside / "report.html").exists()
        disk.grow("512m")
        code, error = ended(disk.command(words))
        assert code == 0, error
        assert command.same(command.outcome(disk.outside), whole)
    return f"report, full disk: no half page, then whole. It said: {last}"

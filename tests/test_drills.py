"""The drills' own parts: they see what differs, and their disk is full when it should be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.drills.__main__ import drills
from tests.drills.base import Command, ended, regionloss
from tests.drills.small_disk import SmallDisk
from tests.drills.train import same


def test_a_bit_that_differs_is_seen() -> None:
    state = {"losses": [{"loss": 1.0}, {"loss": float("nan")}], "weights": {"a": torch.tensor([1.0, 2.0])}}
    other = {"losses": state["losses"], "weights": {"a": torch.tensor([1.0, 2.0 + 2e-7])}}
    assert same(state, state)
    assert not same(state, other)
    assert not same(state, {**state, "losses": state["losses"][:1]})
    assert not same(state, {"losses": state["losses"]})


def test_every_drill_can_be_asked_for() -> None:
    wanted = ["annotate", "evaluate", "train", "full-annotate", "full-checkpoint", "full-report"]
    assert len(drills(wanted, ["plain", "deepspeed"], 1, 0)) == 8
    assert list(drills(["train"], ["plain"], 1, 0)) == ["train-plain"]
    command = Command("help", lambda out: regionloss("--help"), lambda out: 0, lambda out: None)
    assert command.same(1, 1)
    assert not command.same(1, 2)


def test_a_small_disk_is_full_soon_grows_and_leaves_nothing(tmp_path: Path) -> None:
    try:
        disk = SmallDisk(tmp_path / "disk", "8k")
    except PermissionError as error:
        pytest.skip(str(error))
    write = ["dd", "if=/dev/zero", f"of={disk.folder}/file", "bs=4k", "count=4"]
    with disk:
        code, error = ended(disk.command(write))
        assert code == 1
        assert "No space left" in error
        disk.grow("64k")
        assert ended(disk.command(write))[0] == 0
        assert (disk.outside / "file").stat().st_size == 16384
        assert not list(disk.folder.iterdir())  # here nothing is mounted
    assert not disk.outside.exists()


def test_the_recipes_that_are_drilled_are_there() -> None:
    from tests.drills.train import RECIPES

    assert [name for name in ("tiny.yaml", "tiny_phases.yaml") if not (RECIPES / name).is_file()] == []

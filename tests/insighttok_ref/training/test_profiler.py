"""A few steps watched by torch's profiler, on a CPU: which they are, what is written, and that nothing changes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from insighttok_ref.trainers.recipe_changes import decisive
from insighttok_ref.training.loggers import LogOptions
from insighttok_ref.training.profiler import ProfileOptions, StepProfiler

OTHERS = ProfileOptions.model_validate({"from": 3, "steps": 2})


def watched(
    folder: Path, first: int, last: int, options: ProfileOptions | None = OTHERS
) -> tuple[list[str], list[str]]:
    """Do steps of a run, one matrix product each; return what was said and the names of what was written."""
    said: list[str] = []
    profiler = StepProfiler(options, folder, said.append)
    x = torch.ones(4, 4)
    for step in range(first, last):
        profiler.before(step)
        for _ in range(step):
            x = x @ x
    profiler.before(last)
    profiler.close()
    return said, sorted(path.name for path in (folder / "profile").glob("*"))


def products(folder: Path) -> int:
    (trace,) = (folder / "profile").glob("*.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return sum(event.get("name") == "aten::mm" for event in events)


def test_the_steps_that_are_named_are_watched_and_no_others(tmp_path: Path) -> None:
    said, files = watched(tmp_path, 0, 8)
    assert files == ["steps-00000003-00000004.json.gz", "steps-00000003-00000004.txt"]
    assert products(tmp_path) == 3 + 4
    table = (tmp_path / "profile" / files[1]).read_text()
    assert "aten::mm" in table
    assert "Self CPU" in table
    assert said == [f"profile of steps 3 to 4: {tmp_path / 'profile' / files[1]}, and {files[0]} for ui.perfetto.dev"]


def test_a_run_that_ends_within_writes_what_there_is(tmp_path: Path) -> None:
    assert watched(tmp_path, 0, 4)[1][0] == "steps-00000003-00000003.json.gz"
    assert products(tmp_path) == 3
    assert watched(tmp_path / "before", 0, 3) == ([], [])
    assert watched(tmp_path / "after", 4, 8) == ([], [])  # a run that goes on later
    assert watched(tmp_path / "off", 0, 8, None) == ([], [])


def test_what_cannot_be_written_loses_no_training(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("a file")
    with pytest.warns(UserWarning, match=r"log\.profile: nothing written to .*profile"):
        assert watched(tmp_path, 2, 6)[0] == []


def test_it_may_be_asked_for_after_a_stop() -> None:
    """Which needs that it is none of what decides the weights."""
    recipe = {"trainer": {"options": {"engine": {"precision": "fp32"}, "log": {"profile": {"from": 1}}}}}
    assert "log" not in decisive(recipe)["trainer"]["options"]


def test_options_are_checked_and_shown_as_they_are_typed() -> None:
    given = LogOptions.model_validate({"profile": {"from": 7}})
    assert given.profile is not None
    assert given.model_dump(by_alias=True)["profile"] == {"from": 7, "steps": 5}
    for wrong in ({"from": -1}, {"steps": 0}, {"from_": 1}):
        with pytest.raises(ValidationError):
            LogOptions.model_validate({"profile": wrong})

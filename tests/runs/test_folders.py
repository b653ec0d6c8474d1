"""Folders of runs: which of them a run would write over."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.runs.folders import folder_to_resume, occupied


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([], False),
        ([".lock"], False),
        (["resolved.yaml.tmp", ".resolved.yaml.host-123-45.tmp", ".lock"], False),
        (["resolved.yaml"], True),
        (["resolved.yaml.tmp", "metrics.jsonl"], True),
        (["tmp"], True),
    ],
)
def test_what_a_killed_writer_left_is_no_run(names: list[str], wanted: bool, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert occupied(tmp_path) is wanted


def test_a_file_is_in_the_way_and_nothing_is_not(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert occupied(tmp_path / "run")
    assert not occupied(tmp_path / "other")


def test_auto_is_the_run_itself_where_it_has_begun(tmp_path: Path) -> None:
    assert folder_to_resume("auto", tmp_path) is None
    assert folder_to_resume("auto", None) is None
    (tmp_path / "resolved.yaml").touch()
    assert folder_to_resume("auto", tmp_path) == tmp_path
    assert folder_to_resume(None, tmp_path) is None
    assert folder_to_resume("./auto", tmp_path) == Path("auto")

"""Reasons of somebody else's errors, as they stand in our sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regionloss.errors import InputError, WeightsError, reason_of
from regionloss.evaluation.generation.outcomes import read_dpg_results
from regionloss.evaluation.generation.prompts import read_lines
from regionloss.evaluation.pairs.columns import read_columns
from regionloss.evaluation.pairs.tokbench import entries
from regionloss.evaluation.results import read_results
from regionloss.evaluation.run import read_plan
from regionloss.evaluation.tokbench import read_result_file


def test_a_reason_has_no_number_no_path_and_no_line_breaks(tmp_path: Path) -> None:
    def raised(path: Path) -> BaseException:
        with pytest.raises((OSError, ValueError)) as caught:
            json.loads(path.read_text(encoding="utf-8"))
        return caught.value

    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "text").write_text("no\njson")
    assert reason_of(raised(tmp_path / "absent")) == "no such file"
    assert reason_of(raised(tmp_path)) == "a folder"
    assert reason_of(raised(tmp_path / "text" / "below")) == "Not a directory"
    assert reason_of(raised(tmp_path / "latin")).startswith("'utf-8' codec can't decode byte 0xe9")
    assert reason_of(raised(tmp_path / "text")) == "Expecting value: line 1 column 1 (char 0)"
    assert reason_of(WeightsError("a.pth: expected weights,\n got none.")) == "a.pth: expected weights, got none"
    assert reason_of(KeyError("_class_name")) == "no '_class_name'"
    assert reason_of(KeyError()) == "KeyError"
    assert reason_of(EOFError()) == "EOFError"


READERS = (read_dpg_results, read_lines, read_columns, entries, read_plan, read_result_file)


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_and_an_absent_file_are_told_in_words(reader, tmp_path: Path) -> None:
    for path, got in ((tmp_path, "got a folder."), (tmp_path / "absent", "got no such file.")):
        with pytest.raises(InputError) as caught:
            reader(path)
        assert got in str(caught.value)
        assert "Errno" not in str(caught.value)


def test_results_that_are_folders_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(InputError, match=r"results\.json: expected results of an evaluation, got a folder\. "):
        read_results(tmp_path)

"""Progress of annotation, in a terminal and in a log."""

from __future__ import annotations

import io

from rich.console import Console

from insighttok_ref.data.progress import annotation_bar


def told(terminal: bool, files: int) -> str:
    stream = io.StringIO()
    with annotation_bar(Console(file=stream, force_terminal=terminal, width=100)) as tick:
        for done in range(1, files + 1):
            tick(done, files)
    return stream.getvalue()


def test_a_log_gets_ten_lines_however_many_files():
    lines = told(False, 237).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "looking for regions: 237 of 237 files"
    assert len(told(False, 3).splitlines()) == 3


def test_a_terminal_gets_a_bar_with_counts():
    assert "237/237" in told(True, 237)


def test_nothing_is_printed_where_no_folder_is_given():
    assert told(False, 0) == ""

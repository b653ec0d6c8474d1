"""A count that takes long, on a terminal and in a log."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from regionloss.console.progress import Progress


@pytest.mark.parametrize(("every", "lines"), [(60.0, 0), (0.0, 3)])
def test_a_long_count_is_told_now_and_then(every: float, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With a total that is known from the beginning, or comes with the count."""
    shown = Progress("shards", every=every)
    for done in range(3):
        shown(done + 1, 3)
    assert capsys.readouterr().err.splitlines() == [f"shards: {n} of 3" for n in (1, 2, 3)][:lines]
    with Progress("shards", 3, every=every) as shown:
        for _ in range(3):
            shown.advance()
    assert capsys.readouterr().err.splitlines() == [f"shards: {n} of 3" for n in (1, 2, 3)][:lines]


def test_a_line_says_bytes_names_and_notes_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("", size=True, every=0) as shown:
        shown(5_000_000, what="a[b].pth")
        shown(7_000_000, 8_000_000)
        shown(1000, what="c.pth", note="[x]")
    wanted = ["a[b].pth: 5.0 MB", "a[b].pth: 7.0 MB of 8.0 MB", "c.pth: 1.0 kB, [x]"]
    assert capsys.readouterr().err.splitlines() == wanted


def test_a_terminal_gets_a_bar_and_no_lines() -> None:
    screen = io.StringIO()
    with Progress(
        "odd [names]", 4, done=1, every=0, console=Console(file=screen, force_terminal=True, width=120)
    ) as shown:
        shown.advance(2, "7 images")
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "odd [names]" in seen
    assert "3/4" in seen
    assert "7 images" in seen
    assert "3 of 4" not in seen

"""A part in a process of its own: whatever becomes of it, the others go on, and what it has measured is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.gpu.setting import Row

ROOT = Path(__file__).parents[2]


def append(path: Path, row: Row) -> None:
    """Write a row behind the others, at once."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, default=str) + "\n")


def read(path: Path) -> list[Row]:
    """Return the rows that are whole; a later one stands for an earlier one of its name."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return list({row["name"]: row for row in rows}.values())


def run_part(command: Sequence[str], rows: Path, seconds: float) -> dict[str, Any]:
    """Run a part for so long at most; return how it ended, the seconds that it took, and its rows.

    Args:
        command: The part's process, which appends its rows to a file.
        rows: That file; what the process says goes beside it.
        seconds: After these it is killed, with all that it has started.
    """
    said, start = rows.with_suffix(".log"), time.monotonic()
    with said.open("wb") as log:
        process = subprocess.Popen(
            list(command), stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
            ended = "done" if code == 0 else f"ended with {code}: {last_line(said)}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # its compilers may outlive it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return {"ended": ended, "seconds": time.monotonic() - start, "rows": read(rows)}


def last_line(path: Path) -> str:
    """Return the last line that is not empty."""
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"

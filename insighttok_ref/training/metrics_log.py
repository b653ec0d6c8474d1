"""metrics.jsonl: one line of numbers each logged step, in the order in which they were computed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regionloss.data.shards import write_whole
from regionloss.disk import to_disk

ROOM = "Make room there, and go on with --resume."


class MetricsLog:
    """Appends records to a file of JSON lines.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record."""
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in record.items()}
        with to_disk(self.path, ROOM), self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(rounded) + "\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield all records; a last line that a crash cut off is passed over."""
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    return

    def forget_after(self, finished: set[str], part: str, step: int) -> None:
        """Drop what was logged after the state that a run goes on from: it will be computed, and logged, again."""
        kept = [
            record
            for record in self.read()
            if record["part"] in finished or (record["part"] == part and record["step"] < step)
        ]
        write_whole(str(self.path), "".join(json.dumps(record) + "\n" for record in kept).encode())

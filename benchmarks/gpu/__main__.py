"""All that needs a GPU, in 8 minutes on one: a table, and `gpu.json`.

    python -m benchmarks.gpu [--out gpu.json] [--minutes 8] [--parts step terms]
    python -m benchmarks.gpu --device cpu       # in small, to see that it runs

Nothing is fetched: where weights are not here, random ones take the same time. Each part runs in a process of its own,
for its share of the time that is left, the most important ones first; what a part has measured before it fails or is
stopped is kept, and the file is whole after each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.gpu.processes import ROOT, append, run_part
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.summary import goals, show
from regionloss.data.shards import write_whole


class Part(NamedTuple):
    """A part by the function that measures it, and the seconds of 8 minutes that are its share."""

    module: str
    function: str
    seconds: float

    def measure(self, setting: Setting) -> None:
        """Measure it here."""
        work: Callable[[Setting], None] = getattr(import_module(f"benchmarks.gpu.{self.module}"), self.function)
        work(setting)


#: The most important ones first.
PARTS: Mapping[str, Part] = {
    "step": Part("step", "eager", 80),
    "convolutions": Part("convolutions", "reached", 45),
    "table12": Part("terms", "table_12", 65),
    "compiled": Part("step", "compiled", 115),
    "terms": Part("terms", "beside_the_loop", 40),
    "tests": Part("marked_tests", "run_tests", 45),
    "decoding": Part("decoders", "decoders", 90),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m benchmarks.gpu")
    here = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=here, choices=("cuda", "cpu"), help="default: a GPU where there is one")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cuda" and here == "cpu":
        parser.error("--device: expected a GPU that torch sees, got none. Say --device cpu for a trial in small.")
    if not options.minutes > 0:
        parser.error(f"--minutes: expected a number above 0, got {options.minutes:g}.")
    return options


def measure_all(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the parts one after another; write the file and print a table after each."""
    deadline = time.monotonic() + 60 * options.minutes
    found: dict[str, Any] = {"device": options.device, "minutes": options.minutes, "parts": {}}
    chosen = [name for name in PARTS if name in options.parts]
    for number, name in enumerate(chosen):
        left = max(1.0, deadline - time.monotonic())
        seconds = left * PARTS[name].seconds / sum(PARTS[other].seconds for other in chosen[number:])
        rows = folder / f"{name}.jsonl"
        command = [sys.executable, "-m", "benchmarks.gpu", "--device", options.device, "--part", name]
        command += ["--rows", str(rows), "--seconds", str(seconds)]
        found["parts"][name] = run_part(command, rows, seconds)
        found["goals"] = goals(found["parts"])
        write_whole(str(options.out), json.dumps(found, indent=1).encode())
        show(name, found["parts"][name])
    return found


def main() -> int:
    options = parse()
    if options.part:
        setting = Setting(options.device, lambda row: append(options.rows, row), options.seconds)
        PARTS[options.part].measure(setting)
        return 0
    options.out = options.out.absolute()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        found = measure_all(options, Path(folder))
    show("goals", {"ended": f"{options.out} has all of it", "rows": found["goals"]})
    return int(any(part["ended"] != "done" for part in found["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())

"""Parts of an evaluation on disk: what some pairs gave, written whole, and read back one after the other."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

from regionloss.disk import whole
from regionloss.evaluation.benchmarks.base import Examined
from regionloss.evaluation.pairs import Original
from regionloss.evaluation.results import IMAGES, INSTANCES, Problem
from regionloss.evaluation.tables import INSTANCE, table, write_table

FACTS, ARRAYS = "facts.json", "arrays.npz"
#: Sentences of each problem that are kept.
KEPT = 20
Facts = defaultdict[str, float]


@dataclass
class PartRows:
    """What the pairs of a part gave.

    Args:
        images: Rows of images.
        instances: Rows of instances.
        features: Rows (D,) by benchmark and name.
        counts: Sums by benchmark and name.
        problems: Sentences on what could not be judged.
        facts: Sums of what else is known: seconds, images, tokens, pixels.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, list[np.ndarray]] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=lambda: defaultdict(float))

    def describe(self, original: Original) -> None:
        """Add what is known of the image that was begun last."""
        height, width = original.image.shape[1:]
        self.images[-1] |= {"height": height, "width": width, "columns": original.columns, "mark": original.mark}
        self.images[-1]["owner"] = original.owner or original.key
        self.problems += original.problems

    def lose(self, problem: str) -> None:
        """Name what keeps the image that was begun last from being judged."""
        self.images[-1]["problem"] = problem
        self.problems.append(problem)

    def add(self, benchmark: str, answer: Examined, rows: Sequence[dict[str, Any]]) -> None:
        """Add a benchmark's answer on the image that was begun last."""
        self.images[-1] |= answer.values
        self.instances += rows
        self.problems += answer.problems
        # An instance that no judge can look at is one problem, however many judges there are.
        said = dict.fromkeys((one.number, one.problem) for one in answer.verdicts if one.problem)
        self.problems += [f"{problem}: {self.images[-1]['key']}" for _, problem in said]
        for name, row in answer.features.items():
            self.features.setdefault(f"{benchmark}/{name}", []).append(row)
        for name, count in answer.counts.items():
            known = self.counts.get(f"{benchmark}/{name}")
            self.counts[f"{benchmark}/{name}"] = count if known is None else known + count


def write_part(place: Path, part: PartRows, images: Any) -> None:
    """Write a part as a folder, whole or not at all.

    Args:
        place: Folder to write.
        part: What it holds.
        images: Schema of the table of images.
    """
    with whole(place) as temporary:
        temporary.mkdir(parents=True)
        write_table(table(part.images, images), temporary / IMAGES)
        write_table(table(part.instances, INSTANCE), temporary / INSTANCES)
        arrays = {f"features/{name}": np.stack(rows) for name, rows in part.features.items()}
        arrays |= {f"counts/{name}": value for name, value in part.counts.items()}
        np.savez(temporary / ARRAYS, **arrays)  # type: ignore[arg-type]
        said = {"problems": part.problems, "facts": part.facts}
        (temporary / FACTS).write_text(json.dumps(said), encoding="utf-8", errors="backslashreplace")


class Blocks(Sequence[np.ndarray]):
    """The features of one name, part by part, read anew each time: no more than one part is in memory.

    Args:
        parts: Folders of the parts that have them, in order.
        name: Name of the array in them.
    """

    def __init__(self, parts: Sequence[Path], name: str) -> None:
        self.parts, self.name = parts, name

    def __len__(self) -> int:
        return len(self.parts)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        """Return a block, or the blocks of a slice of the parts."""
        if isinstance(index, slice):
            return Blocks(self.parts[index], self.name)
        with np.load(self.parts[index] / ARRAYS, allow_pickle=False) as arrays:
            return np.asarray(arrays[self.name])


def gathered(parts: Sequence[Path], benchmark: str) -> tuple[Mapping[str, Blocks], Mapping[str, np.ndarray]]:
    """Return the features of a benchmark as blocks, and its counts added up over all parts, by name."""
    places: dict[str, list[Path]] = {}
    counts: dict[str, np.ndarray] = {}
    for part in parts:
        with np.load(part / ARRAYS, allow_pickle=False) as arrays:
            for name in arrays.files:
                kind, owner, rest = name.split("/", 2)
                if owner == benchmark and kind == "features":
                    places.setdefault(rest, []).append(part)
                elif owner == benchmark:
                    counts[rest] = counts[rest] + arrays[name] if rest in counts else arrays[name]
    blocks = {name: Blocks(found, f"features/{benchmark}/{name}") for name, found in places.items()}
    return blocks, counts


def read_facts(parts: Sequence[Path]) -> tuple[Facts, list[Problem]]:
    """Return the sums of all parts, and their problems, each kind with how often it was met and the first sentences."""
    facts: Facts = defaultdict(float)
    met, first = Counter[str](), defaultdict[str, list[str]](list)
    for said in map(facts_of, parts):
        for name, value in said["facts"].items():
            facts[name] += value
        for sentence in said["problems"]:
            kind, _, rest = sentence.partition(": ")
            met[kind] += 1
            if len(first[kind]) < KEPT:
                first[kind].append(rest)
    return facts, [Problem(kind, count, tuple(first[kind])) for kind, count in met.items()]


def facts_of(part: Path) -> dict[str, Any]:
    """Return what a part says beside its tables."""
    found: dict[str, Any] = json.loads((part / FACTS).read_text(encoding="utf-8"))
    return found

"""TokBench's own result files: read, pooled and averaged as its published table is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regionloss.errors import InputError, expected, reason_of
from regionloss.evaluation.benchmarks.sizes import EDGES, GROUPS, size_group

#: Measures of a record, in the order of the table.
MEASURES: Mapping[str, tuple[str, ...]] = {"text": ("accuracy", "ned"), "face": ("similarity",)}
ORIGINALS = "ori"
LARGEST = 1e9  # of any number in a record; also keeps NaN and infinity out
ADVICE = "Give TokBench's result files, {method: {setting: {results, details}}}."


@dataclass(frozen=True)
class Record:
    """One instance of a result file: its image, its share of the image's side, and its values by measure."""

    image: str
    ratio: float
    values: tuple[float, ...]


@dataclass
class ResultFile:
    """What a result file holds.

    Args:
        path: File that was read.
        kind: `text` or `face`.
        methods: Records by method and setting, in the order of the file.
        unusable: How many records lack what they need, by reason.
    """

    path: Path
    kind: str
    methods: dict[str, dict[int, list[Record]]] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Means:
    """A measure over pooled records; None stands for an empty group, and for a mean that one makes impossible.

    Args:
        groups: Mean of each size group.
        mean: Plain mean of the three group means: the table's `mean`.
        grouped: Mean over the instances of all groups.
        instances: Mean over all instances, those outside of all groups included.
    """

    groups: tuple[float | None, ...]
    mean: float | None
    grouped: float | None
    instances: float | None


@dataclass(frozen=True)
class Row:
    """A method at a setting, all files pooled.

    Args:
        kind: `text` or `face`.
        method: Name of the method.
        setting: Side that images are reconstructed at: 256, 512 or 1024.
        measures: What its records come to, by measure.
        counts: Instances of each size group.
        outside: Instances outside of all groups, which are dropped.
        smallest_outside: The smallest of them, as sentences would name it.
        missing: Names of the files of this kind that do not have the method at this setting.
    """

    kind: str
    method: str
    setting: int
    measures: Mapping[str, Means]
    counts: tuple[int, ...]
    outside: int
    smallest_outside: str
    missing: tuple[str, ...]


def read_result_file(path: Path) -> ResultFile:
    """Read a result file.

    Raises:
        InputError: It is none; the sentence names it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(expected(str(path), "a result file of TokBench", reason_of(error), ADVICE)) from error
    entries = list(_entries(path, found))
    records = [one for *_, listed in entries for _, one in listed]
    faces = next(("similarity" in one for one in records if isinstance(one, dict)), False)
    file = ResultFile(path, "face" if faces else "text")
    for method, key, listed in entries:
        if (setting := _setting(key)) is not None:
            known = file.methods.setdefault(method, {}).setdefault(setting, [])
            known += [record for image, one in listed if (record := _record(image, one, file)) is not None]
    if not any(listed for found in file.methods.values() for listed in found.values()):
        lacking = f"; {_counted(file.unusable)}" if file.unusable else ""
        wanted = f"records of a setting {', '.join(map(str, EDGES))}"
        raise InputError(expected(str(path), wanted, f"none that can be used{lacking}", ADVICE))
    return file


def settings_of(files: Sequence[ResultFile]) -> list[int]:
    """Return the settings that files have results of."""
    return sorted({setting for file in files for found in file.methods.values() for setting in found})


def aggregate(files: Sequence[ResultFile], setting: int) -> list[Row]:
    """Return a row for each method that any file has at a setting, in the order in which they come, texts first.

    Raises:
        InputError: No file has it, or a setting without size groups.
    """
    check_setting(setting)
    rows = []
    for kind in MEASURES:
        mine = [file for file in files if file.kind == kind]
        names = dict.fromkeys(name for file in mine for name, found in file.methods.items() if setting in found)
        rows += [_row(kind, name, setting, mine) for name in names]
    if not rows:
        got = ", ".join(map(str, settings_of(files))) or "none"
        raise InputError(expected("--setting", "one that a file has results of", f"{setting}", f"They have: {got}."))
    return rows


def official(rows: Sequence[Row], files: Sequence[ResultFile]) -> list[Row]:
    """Return the rows that TokBench's script prints: methods of `ic13.json` alone (for faces, of their first file).

    It leaves out `ori`, and `titok` for texts at 512 and 1024.
    """
    kept = []
    for kind in MEASURES:
        mine = [file for file in files if file.kind == kind]
        leader = next((file.methods for file in mine if file.path.stem == "ic13"), mine[0].methods if mine else {})
        by_name = {row.method: row for row in rows if row.kind == kind}
        kept += [by_name[name] for name, found in leader.items() if name in by_name and by_name[name].setting in found]
    return [row for row in kept if row.method not in hidden(row.kind, row.setting)]


def hidden(kind: str, setting: int) -> set[str]:
    """Return the methods that TokBench's script never prints."""
    return {ORIGINALS, "titok"} if kind == "text" and setting > 256 else {ORIGINALS}


def check_setting(setting: int) -> None:
    """Raise InputError for a setting without size groups."""
    if setting not in EDGES:
        raise InputError(expected("--setting", " or ".join(map(str, EDGES)), str(setting)))


def _row(kind: str, method: str, setting: int, files: Sequence[ResultFile]) -> Row:
    having = [file for file in files if setting in file.methods.get(method, {})]
    pooled = sorted((one for file in having for one in file.methods[method][setting]), key=lambda one: one.ratio)
    groups: dict[str | None, list[Record]] = {group: [] for group in (*GROUPS, None)}
    for record in pooled:
        groups[size_group(kind, record.ratio, setting)].append(record)
    outside = groups.pop(None)
    inside = [record for group in GROUPS for record in groups[group]]
    measures = {}
    for number, measure in enumerate(MEASURES[kind]):
        each = tuple(_mean([record.values[number] for record in groups[group]]) for group in GROUPS)
        known = [value for value in each if value is not None]
        both = (_mean([record.values[number] for record in some]) for some in (inside, pooled))
        measures[measure] = Means(each, _mean(known) if len(known) == len(each) else None, *both)
    return Row(
        *(kind, method, setting, measures, tuple(len(groups[group]) for group in GROUPS), len(outside)),
        smallest_outside=f"'{outside[0].image}' with {outside[0].ratio:g}" if outside else "",
        missing=tuple(file.path.name for file in files if file not in having),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _entries(path: Path, found: Any) -> Iterator[tuple[str, str, list[tuple[str, Any]]]]:
    """Yield method, setting's key and records, each with its image."""
    for method, settings in _items(path, found, "methods by name"):
        for key, entry in _items(path, settings, f"settings of method '{method}'"):
            where = f"'{method}' at '{key}'"
            details = dict(_items(path, entry, f"results and details of {where}")).get("details")
            listed: list[tuple[str, Any]] = []
            for image, one in _items(path, details, f"details of {where}, by image"):
                results = dict(_items(path, one, f"results of image '{image}'")).get("results")
                if not isinstance(results, list):
                    got = type(results).__name__
                    raise InputError(expected(f"{path}, {where}, image '{image}'", "a list of results", got, ADVICE))
                listed += [(image, record) for record in results]
            yield method, key, listed


def _items(path: Path, found: Any, wanted: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise InputError(expected(str(path), wanted, type(found).__name__, ADVICE))
    yield from found.items()


def _setting(key: str) -> int | None:
    """Return the setting that a key names, the text behind its last `_`; None for one without size groups."""
    return next((setting for setting in EDGES if key.rpartition("_")[2] == str(setting)), None)


def _record(image: str, one: Any, file: ResultFile) -> Record | None:
    """Return a record; one that lacks something is counted."""
    names = ("ratio", *MEASURES[file.kind])
    values = [one.get(name) if isinstance(one, dict) else None for name in names]
    bad = [name for name, value in zip(names, values, strict=True) if not _is_number(value)]
    if bad:
        file.unusable[f"records whose {bad[0]} is no number"] += 1
        return None
    ratio, *measured = map(float, values)  # type: ignore[arg-type]  # all are numbers
    return Record(image, ratio, tuple(measured))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -LARGEST < value < LARGEST


def _counted(unusable: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in unusable.items())


def unusable(file: ResultFile) -> str:
    """Return what of a file cannot be used, a sentence; empty where all can."""
    return f"{file.path}: not counted: {_counted(file.unusable)}." if file.unusable else ""

"""What an evaluation leaves: a folder with its scores, and a row for each image and each instance.

`results.json` holds scores and all that stands beside them, `images.parquet` a row an image, `instances.parquet` a row
for each judge of each instance, with the crops that people look at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from regionloss.disk import whole
from regionloss.errors import InputError, expected, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
RESULTS, IMAGES, INSTANCES = "results.json", "images.parquet", "instances.parquet"


@dataclass(frozen=True)
class Score:
    """One number of a table.

    Args:
        benchmark: Name of the benchmark, the word of `--suite`.
        measure: Name of the measure.
        value: The number; infinite where it is (PSNR of equal images).
        judge: Who judged; empty where nobody did.
        group: Whom it is about: empty for all; `size/small`, `size/medium`, `size/large`; `size/mean` for the mean of
            the means of these three; `COLUMN=VALUE` for a column of the data; `COLUMN/gap` for the difference between
            the best and the worst value of a column.
        count: How many instances, or images, it is a mean over.
        low: 2.5th percentile by bootstrap over images, or what they were cut from; None where there is no interval.
        high: 97.5th percentile of the same draws.
        ceiling: What the originals themselves reach; None where that says nothing.
    """

    benchmark: str
    measure: str
    value: float
    judge: str = ""
    group: str = ""
    count: int = 0
    low: float | None = None
    high: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class Problem:
    """What could not be judged: how often, and the first of them as sentences."""

    what: str
    count: int
    first: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """The scores of one tokenizer on one set of images.

    Args:
        name: Name of the tokenizer in tables.
        data: Name of the set of images.
        data_identity: Mark by which two results are known to be of the same images.
        images: How many pairs were examined.
        setting: Side at which size groups are told apart, pixels: 256, 512 or 1024.
        scores: All numbers of its tables.
        measures: What each is, by `benchmark/measure` (fields of `benchmarks.Measure`).
        about: Tools, versions, hashes and image pipelines, by benchmark.
        problems: What could not be judged.
        facts: Other numbers and words of the tokenizer: `bpp`, `codebook_size`, `images_per_second`, `weights_sha256`,
            where they are known.
        notes: Sentences for the reader.
    """

    name: str
    data: str
    data_identity: str
    images: int
    setting: int
    scores: Sequence[Score] = ()
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def score(self, measure: str, group: str = "", judge: str | None = None) -> Score | None:
        """Return a score by measure and group, of one judge or of the first that gave it; None where there is none."""
        named = (one for one in self.scores if one.measure == measure and one.group == group)
        return next((one for one in named if judge is None or one.judge == judge), None)


@dataclass(frozen=True, eq=False)
class Results:
    """Results in a folder. The tables are read when they are asked for.

    `images`: `key`, `height`, `width`, `columns` (map of strings), `mark` (hash of the original), `owner` (what it was
    cut from, or its key), `problem`, and a column for each measure of images (null where it cannot be said).

    `instances`: `key`, `number`, `kind`, `box` (4 floats, pixels), `size`, `group` (size group or null), `columns`,
    `benchmark`, `judge`, `read`, `original`, `truth`, `truth_from`, `problem`, `values` (map of floats by measure),
    `target` and `crop` (WebP, null where they were not kept).
    """

    folder: Path
    summary: Summary

    @cached_property
    def images(self) -> pa.Table:
        """A row an image."""
        return _table(self.folder / IMAGES)

    @cached_property
    def instances(self) -> pa.Table:
        """A row for each judge of each instance."""
        return _table(self.folder / INSTANCES)

    @cached_property
    def owners(self) -> dict[str, str]:
        """What each image was cut from, by the image's key."""
        return owners_of(self.images)


def owners_of(images: pa.Table) -> dict[str, str]:
    """Return what images were cut from by their keys; of results of earlier versions nothing is known."""
    if not {"key", "owner"} <= {*images.column_names}:
        return {}
    rows = zip(images["key"].to_pylist(), images["owner"].to_pylist(), strict=True)
    return {key: owner or key for key, owner in rows}


def _table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        advice = "Run the evaluation again."
        raise InputError(expected(str(path), "a table of 'regionloss evaluate'", reason_of(error), advice)) from error


def read_results(folder: Path) -> Results:
    """Return the results in a folder.

    Raises:
        InputError: There are none, or none that this version can read; the sentence names the file.
    """
    path = folder / RESULTS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            advice = "Evaluate again, or use the version of regionloss that wrote it."
            raise InputError(expected(str(path), f"results of version {VERSION}", str(found["version"]), advice))
        values = {name: found[name] for name in Summary.__dataclass_fields__}
        return Results(folder, TypeAdapter(Summary).validate_python(values))
    except InputError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        advice = "Give folders that 'regionloss evaluate' has written."
        raise InputError(expected(f"{path}: {where}", "results of an evaluation", first["msg"], advice)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = "Give folders that 'regionloss evaluate' has written."
        raise InputError(expected(str(path), "results of an evaluation", reason_of(error), advice)) from error


def write_summary(folder: Path, summary: Summary) -> None:
    """Write `results.json`, whole or not at all; infinite numbers are written as the words `inf` and `-inf`.

    Args:
        folder: Folder of the results.
        summary: What to write.
    """
    values = {"version": VERSION} | asdict(summary)
    values["scores"] = [_words(one) for one in values["scores"]]
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    with whole(folder / RESULTS) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _words(score: Mapping[str, Any]) -> dict[str, Any]:
    infinite = {name: str(v) for name, v in score.items() if isinstance(v, float) and not math.isfinite(v)}
    return dict(score) | infinite

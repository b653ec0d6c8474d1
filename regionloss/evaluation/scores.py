"""Rows of images and instances -> scores: means with intervals, by size group and by the data's columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regionloss.evaluation.benchmarks.base import Measure
from regionloss.evaluation.benchmarks.sizes import GROUPS
from regionloss.evaluation.metrics.interval import resampled
from regionloss.evaluation.results import Score

if TYPE_CHECKING:
    import pyarrow as pa

ORIGINAL = "original/"
#: Column that tells transcribed texts from those whose truth is the judge's own reading of the original.
TRUTH = "truth"
#: Values of a column from which on it is a name and makes no groups.
MANY = 50
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Sample:
    """Values of one measure.

    Args:
        values: The N numbers, NaN where there is none.
        owners: The image of each, or what it was cut from, (N,) integers.
        sizes: The size group of each, (N,) names, or None where it has none.
        columns: Words of each by column, (N,), or None where it has none.
        ceiling: What the originals reach, (N,), NaN where that is not known.
    """

    values: np.ndarray
    owners: np.ndarray
    sizes: np.ndarray
    columns: Mapping[str, np.ndarray]
    ceiling: np.ndarray

    def where(self, mask: np.ndarray) -> Sample:
        """Return the values that a mask (N,) bool names."""
        columns = {name: words[mask] for name, words in self.columns.items()}
        return Sample(self.values[mask], self.owners[mask], self.sizes[mask], columns, self.ceiling[mask])


def owner_numbers(keys: Iterable[str], owners: Mapping[str, str]) -> np.ndarray:
    """Return the number of each image's owner, (N,), counted in the order of the images' keys.

    Args:
        keys: Keys of N images.
        owners: What images were cut from, by key; one that is not there stands for itself.
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(owners.get(key, key), len(numbers)) for key in keys], dtype=np.int64)


def instance_scores(
    benchmark: str, measures: Mapping[str, Measure], table: pa.Table, owners: Mapping[str, str] | None = None
) -> list[Score]:
    """Return the scores of a benchmark's measures of instances.

    Args:
        benchmark: Name of the benchmark, the judges' rows of which are in the table.
        measures: Measures of the benchmark by name.
        table: Rows of instances, as `results.Results` describes them.
        owners: What images were cut from, by key.
    """
    scores = []
    keys, sizes, columns = table["key"].to_pylist(), words(table["group"]), labels(table["columns"])
    images, places = np.unique(np.array(keys, dtype=str), return_inverse=True)
    drawn = owner_numbers(images.tolist(), owners or {})[places]
    judges, values, sources = words(table["judge"]), mapped(table["values"]), words(table["truth_from"])
    if len({*sources} - {None}) > 1:  # what the originals reach is known of the transcribed ones alone
        columns = {TRUTH: sources} | columns
    for name, measure in measures.items():
        if measure.per != "instance" or name not in values:
            continue
        ceiling = values.get(ORIGINAL + name, np.full(len(keys), np.nan))
        whole = Sample(values[name], drawn, sizes, columns, ceiling)
        for judge in sorted(set(judges[~np.isnan(values[name])])):
            mine = whole.where((judges == judge) & ~np.isnan(values[name]))
            scores += [one_score(benchmark, name, judge, group, part) for group, part in groups(mine)]
            scores += [*mean_of_sizes(benchmark, name, judge, mine), *gaps(scores, benchmark, name, judge, mine)]
    return scores


def image_scores(
    benchmark: str, measures: Mapping[str, Measure], table: pa.Table, owners: Mapping[str, str] | None = None
) -> list[Score]:
    """Return the scores of a benchmark's measures of images.

    Infinite values (PSNR of equal images) are left out of a mean, unless all are: then that is what it is.

    Args:
        benchmark: Name of the benchmark.
        measures: Measures of the benchmark by name.
        table: Rows of images, as `results.Results` describes them.
        owners: What images were cut from, by key.
    """
    scores = []
    columns, count = labels(table["columns"]), len(table)
    drawn = owner_numbers(table["key"].to_pylist(), owners or {})
    for name, measure in measures.items():
        if measure.per != "image" or name not in table.column_names:
            continue
        values = np.array(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)
        nothing = np.full(count, np.nan)
        whole = Sample(values, drawn, np.full(count, None, dtype=object), columns, nothing)
        mine = whole.where(~np.isnan(values))
        scores += [one_score(benchmark, name, "", group, part) for group, part in groups(mine)]
        scores += gaps(scores, benchmark, name, "", mine)
    return scores


def drawn_together(owners: Mapping[str, str]) -> list[str]:
    """Return a sentence on intervals where several images were cut from one picture.

    Args:
        owners: What images were cut from, by key.
    """
    images, count = len(owners), len(set(owners.values()))
    if count == images:
        return []
    if count == 1:
        return [f"All {images} images were cut from one picture, which says nothing of others: there are no intervals."]
    return [f"The {images} images were cut from {count} pictures: intervals draw pictures."]


def groups(sample: Sample) -> Iterator[tuple[str, Sample]]:
    """Yield all values, those of each size group, and those of each word of each column; none that are empty."""
    if len(sample.values):
        yield "", sample
    for size in GROUPS:
        if (mask := sample.sizes == size).any():
            yield f"size/{size}", sample.where(mask)
    for name in sorted(sample.columns):
        for word in values_of(sample, name):
            yield f"{name}={word}", sample.where(sample.columns[name] == word)


def values_of(sample: Sample, column: str) -> list[str]:
    """Return the words of a column, sorted; none where there are so many that they are names."""
    found = sorted({word for word in sample.columns[column] if word is not None})
    return found if len(found) <= MANY else []


def one_score(benchmark: str, measure: str, judge: str, group: str, sample: Sample) -> Score:
    """Return the mean of values with its interval and its ceiling."""
    finite = np.isfinite(sample.values)
    kept = sample.where(finite) if finite.any() else sample
    value = float(kept.values.mean())
    ends = interval(kept) if finite.any() else (None, None)
    return Score(benchmark, measure, value, judge, group, len(kept.values), *ends, ceiling_of([kept]))


def interval(sample: Sample, part: np.ndarray | None = None) -> tuple[float | None, float | None]:
    """Return the ends of the interval of a mean, or of the mean of parts' means; None of one owner alone."""
    low, high = resampled(sample.values, sample.owners, part, DRAWS)
    return (low, high) if np.isfinite([low, high]).all() else (None, None)


def mean_of_sizes(benchmark: str, measure: str, judge: str, sample: Sample) -> list[Score]:
    """Return the mean of the means of the size groups, TokBench's 'mean', where none of them is empty."""
    part = np.array([GROUPS.index(size) if size in GROUPS else -1 for size in sample.sizes], dtype=np.int64)
    inside = sample.where(part >= 0)
    part = part[part >= 0]
    if len(set(part.tolist())) < len(GROUPS):
        return []
    means = [inside.where(part == number) for number in range(len(GROUPS))]
    value = float(np.mean([one.values.mean() for one in means]))
    ends = interval(inside, part)
    return [Score(benchmark, measure, value, judge, "size/mean", len(part), *ends, ceiling_of(means))]


def ceiling_of(samples: Sequence[Sample]) -> float | None:
    """Return the mean of the means of what the originals reach; None where that is not known of each."""
    ceiling = float(np.mean([one.ceiling.mean() for one in samples]))
    return None if np.isnan(ceiling) else ceiling


def gaps(scores: Sequence[Score], benchmark: str, measure: str, judge: str, sample: Sample) -> list[Score]:
    """Return, for each column with two words or more, the difference between the highest and the lowest mean."""
    found = []
    for name in sorted(sample.columns):
        wanted = {f"{name}={word}" for word in values_of(sample, name)}
        same = [s for s in scores if (s.benchmark, s.measure, s.judge) == (benchmark, measure, judge)]
        means = [s.value for s in same if s.group in wanted]
        if len(means) > 1:
            gap = max(means) - min(means)
            found.append(Score(benchmark, measure, gap, judge, f"{name}/gap", len(means)))
    return found


def words(column: Any) -> np.ndarray:
    """Return a column of texts as objects, None where there is none."""
    return np.array([*column.to_pylist(), None], dtype=object)[:-1]


def labels(column: Any) -> dict[str, np.ndarray]:
    """Return a column of maps of texts as a column of texts for each key."""
    rows = [dict(row or ()) for row in column.to_pylist()]
    names = sorted({name for row in rows for name in row})
    return {name: np.array([*(row.get(name) for row in rows), None], dtype=object)[:-1] for name in names}


def mapped(column: Any) -> dict[str, np.ndarray]:
    """Return a column of maps of numbers as numbers (N,) for each key, NaN where a row has none."""
    found: dict[str, np.ndarray] = {}
    begin = 0
    for chunk in column.chunks:
        lengths = np.diff(np.asarray(chunk.offsets))
        rows = begin + np.repeat(np.arange(len(chunk)), lengths)
        first, last = chunk.offsets[0].as_py(), chunk.offsets[len(chunk)].as_py()
        keys = np.array(chunk.keys[first:last].to_pylist(), dtype=object)
        values = np.asarray(chunk.items[first:last], dtype=np.float64)
        for name in set(keys):
            own = found.setdefault(name, np.full(len(column), np.nan))
            own[rows[keys == name]] = values[keys == name]
        begin += len(chunk)
    return found

"""Distances between two sets of images, from a row of features for each: Fréchet's, and an unbiased kernel distance."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from regionloss.errors import InputError, expected

#: Rows that are added at a time, whatever the blocks that they come in: so sums do not depend on those.
ROWS = 1000


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread of rows.

    Args:
        count: Number of rows.
        mean: Means of the features, (D,) float64.
        scatter: (D, D) float64, the sum of the outer products of the rows' differences from their mean.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Return the moments of rows (N, D), N at least 1."""
        wide = np.asarray(rows, dtype=np.float64)
        mean = wide.mean(0)
        apart = wide - mean
        return cls(len(wide), mean, apart.T @ apart)

    def with_others(self, other: Moments) -> Moments:
        """Return the moments of the rows of both.

        Source: Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm".
        """
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), scatter)

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), of two rows or more."""
        return np.asarray(self.scatter / (self.count - 1))


def moments(blocks: Iterable[np.ndarray]) -> Moments:
    """Return the moments of rows (N, D) that come in blocks; the same, bit for bit, for any blocks.

    Args:
        blocks: Arrays (block, D); no more than some of them are held at a time.

    Raises:
        InputError: There are no rows.
    """
    parts = map(Moments.of, regrouped(blocks, ROWS))
    first = next(parts, None)
    if first is None:
        raise InputError(expected("moments", "one row at least", "none"))
    return functools.reduce(Moments.with_others, parts, first)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`, 0 for equal moments.

    The trace of the root is the sum of the singular values of `A1^T A2`, where `S = A A^T`: no root of a matrix that is
    not symmetric, and no precision lost where there are fewer rows than features.

    Args:
        first: Moments of two rows or more.
        second: Moments of two rows or more, of as many features.

    Raises:
        InputError: Fewer than two rows, or other numbers of features.

    Source: Heusel et al. (2017), eq. 6.
    """
    if min(first.count, second.count) < 2:
        got = f"{first.count} and {second.count}"
        raise InputError(expected("frechet_distance", "moments of two rows or more", got))
    if first.mean.shape != second.mean.shape:
        got = f"{len(first.mean)} and {len(second.mean)}"
        raise InputError(expected("frechet_distance", "moments of as many features", got))
    roots = [_root(one.covariance) for one in (first, second)]
    shared = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    apart = first.mean - second.mean
    value = apart @ apart + np.square(roots[0]).sum() + np.square(roots[1]).sum() - 2 * shared
    return max(0.0, float(value))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return A with `A A^T` the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(values.clip(min=0.0)))


def kernel_distance(first: Iterable[np.ndarray], second: Iterable[np.ndarray]) -> float | None:
    """Return the squared maximum mean discrepancy in the kernel `(x y / D + 1)^3`, unbiased; 0 for equal rows.

    Row i of both sets describes the same image, so they are not independent: pairs (i, i) are left out between the sets
    as they are within them. That makes it unbiased here, and equal sets 0; KID, for independent sets, keeps them. It is
    the mean over subsets of 1,000 rows, one after the other.

    Args:
        first: Rows (N, D), in blocks.
        second: Rows of the other set, as many, in any blocks: row i is of the same image.

    Returns:
        The distance; None of fewer than two rows.

    Source: Gretton et al. (2012), "A Kernel Two-Sample Test", lemma 6; Bińkowski et al. (2018) for the kernel.
    """
    found = [
        (len(x), _discrepancy(x, y))
        for x, y in zip(regrouped(first, ROWS), regrouped(second, ROWS), strict=True)
        if len(x) > 1
    ]
    count = sum(rows for rows, _ in found)
    return sum(rows * value for rows, value in found) / count if count else None


def _discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    count, features = x.shape
    x, y = x.astype(np.float64), y.astype(np.float64)
    within_x, within_y, between = ((a @ b.T / features + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    differences = within_x + within_y - between - between.T
    return float((differences.sum() - np.trace(differences)) / (count * (count - 1)))


def regrouped(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield the rows of blocks in blocks of `size` rows; the last may have fewer."""
    held: list[np.ndarray] = []
    missing = size
    for block in blocks:
        rest = block
        while len(rest):
            held.append(rest[:missing])
            rest = rest[missing:]
            missing -= len(held[-1])
            if not missing:
                yield np.concatenate(held)
                held, missing = [], size
    if held:
        yield np.concatenate(held)

"""Distances between sets: closed forms, plain loops, and the same numbers for any split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg

from regionloss.errors import InputError
from regionloss.evaluation.metrics import Moments, frechet_distance, kernel_distance, moments
from regionloss.evaluation.metrics.sets import regrouped


def rows(count: int, features: int = 6, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(count, features)) @ generator.normal(size=(features, features))
    return (mixed + generator.normal(size=features) * 3).astype(np.float32)


SPLITS: dict[str, Callable[[np.ndarray], list[np.ndarray]]] = {
    "one by one": lambda all_rows: [row[None] for row in all_rows],
    "by 7": lambda all_rows: [all_rows[i : i + 7] for i in range(0, len(all_rows), 7)],
    "odd": lambda all_rows: [all_rows[:1], all_rows[1:1], all_rows[1:1500], all_rows[1500:]],
}


@pytest.mark.parametrize("split", SPLITS)
def test_any_split_gives_the_same_bits(split: str) -> None:
    """As 1, 2 or 3 processes, or one that was stopped, would split them."""
    first, second = rows(2300), rows(2300, seed=1)
    blocks, others = SPLITS[split](first), SPLITS[split](second)
    one, other = moments(blocks), moments([first])
    assert one.count == other.count == 2300
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.scatter, other.scatter)
    assert kernel_distance(blocks, [second]) == kernel_distance([first], others) == kernel_distance([first], [second])


def test_moments_are_those_of_numpy_over_several_groups() -> None:
    everything = rows(2300)
    found = moments([everything])
    assert found.mean == pytest.approx(everything.astype(np.float64).mean(0), rel=1e-12)
    wanted = np.cov(everything.astype(np.float64).T)
    assert found.covariance == pytest.approx(wanted, rel=1e-11, abs=1e-11)


def test_moments_of_shares_are_those_of_all() -> None:
    everything = rows(301)
    shares = [Moments.of(everything[i::3]) for i in range(3)]
    found = shares[2].with_others(shares[0]).with_others(shares[1])
    assert found.covariance == pytest.approx(moments([everything]).covariance, rel=1e-12, abs=1e-12)


def test_frechet_distance_of_two_gaussians_has_a_closed_form() -> None:
    """Of one feature it is (m1 - m2)^2 + (s1 - s2)^2; of independent ones their sum."""
    first = Moments(11, np.array([1.0, -2.0]), np.diag([40.0, 90.0]))  # variances 4 and 9
    second = Moments(21, np.array([4.0, -2.0]), np.diag([20.0, 320.0]))  # 1 and 16
    assert frechet_distance(first, second) == pytest.approx(9 + (2 - 1) ** 2 + (3 - 4) ** 2, rel=1e-12)


def test_frechet_distance_equals_the_root_of_the_product() -> None:
    first, second = moments([rows(50)]), moments([rows(60, seed=1)])
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    apart = first.mean - second.mean
    wanted = apart @ apart + np.trace(first.covariance + second.covariance - 2 * root.real)
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("count", [2, 30])
def test_equal_sets_are_at_no_distance(count: int) -> None:
    """Also where there are fewer rows than features, and where nothing varies."""
    for same in (rows(count, 40), np.ones((count, 40), np.float32)):
        size = float(np.square(same).sum())
        assert 0 <= frechet_distance(moments([same]), moments([same[::-1]])) <= 1e-10 * size
        assert kernel_distance([same], [same]) == pytest.approx(0.0, abs=1e-12 * size**3)


def test_a_shift_of_all_rows_is_its_square() -> None:
    few = rows(5, 40).astype(np.float64)
    assert frechet_distance(moments([few]), moments([few + 0.5])) == pytest.approx(40 * 0.25, rel=1e-9)


def test_kernel_distance_equals_a_plain_loop_over_its_subsets() -> None:
    first, second = rows(1003) / 3, rows(1003, seed=1) / 3

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 6 + 1) ** 3)

    def loop(x: np.ndarray, y: np.ndarray) -> float:
        values = [
            kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
            for i in range(len(x))
            for j in range(len(x))
            if i != j
        ]
        return float(np.mean(values))

    x, y = first.astype(np.float64), second.astype(np.float64)
    assert kernel_distance([first[:40]], [second[:40]]) == pytest.approx(loop(x[:40], y[:40]), rel=1e-10)
    begin = kernel_distance([first[:1000]], [second[:1000]])
    assert begin is not None
    wanted = (1000 * begin + 3 * loop(x[1000:], y[1000:])) / 1003
    assert kernel_distance([first], [second]) == pytest.approx(wanted, rel=1e-10)


def test_kernel_distance_of_the_same_distribution_is_zero_on_average() -> None:
    """Also where rows of the same image are nearly equal, which KID's pairs (i, i) would make negative."""
    generator = np.random.default_rng(0)
    values = []
    for _ in range(300):
        x = generator.normal(size=(20, 4))
        y = 0.8 * x + 0.6 * generator.normal(size=(20, 4))
        values.append(kernel_distance([x], [y]))
    assert abs(np.mean(values)) < 3 * np.std(values) / 300**0.5


def test_too_few_rows_are_named() -> None:
    with pytest.raises(InputError, match="one row at least, got none"):
        moments([])
    one = moments([rows(1)])
    with pytest.raises(InputError, match="two rows or more, got 1 and 1"):
        frechet_distance(one, one)
    with pytest.raises(InputError, match="as many features, got 6 and 5"):
        frechet_distance(moments([rows(3)]), moments([rows(3, 5)]))
    assert kernel_distance([rows(1)], [rows(1)]) is None
    assert kernel_distance([], []) is None


def test_sets_of_other_lengths_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        kernel_distance([rows(5)], [rows(4)])


def test_groups_hold_every_row_once_and_in_order() -> None:
    blocks = [np.arange(begin, end)[:, None] for begin, end in ((0, 3), (3, 3), (3, 11), (11, 12))]
    groups = list(regrouped(blocks, 5))
    assert [len(group) for group in groups] == [5, 5, 2]
    assert np.concatenate(groups)[:, 0].tolist() == list(range(12))

"""Images that were cut from one picture: intervals draw pictures, against plain loops over the same draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regionloss.evaluation import Results, evaluate
from regionloss.evaluation.pairs import ReconstructionFolder, open_originals, read_columns
from regionloss.evaluation.report.columns import find_columns, name_rows
from regionloss.evaluation.report.differences import Tables, comparisons, findings
from regionloss.evaluation.report.instances import browser
from regionloss.evaluation.report.page import sets
from regionloss.evaluation.tables import joined, write_table
from tests.evaluation.test_run import IMAGES, Distance, Evaluation, folders

KEYS = [f"a/{number}.png" for number in range(IMAGES)]
OF_THREE = ["film", "film", "page", "street", "street", "film", "street"]


def evaluated(root: Path, owners: list[str] | None, name: str = "out") -> Results:
    """Return results on images that a table says the owners of; None has no such table."""
    originals, made = (root / "photos", root / "made") if (root / "photos").is_dir() else folders(root)
    table = root / f"{name}.csv"
    lines = [f"{key},{owner}\n" for key, owner in zip(KEYS, owners or [], strict=False)]
    table.write_text("key,owner\n" + "".join(lines), encoding="utf-8")
    data = open_originals([str(originals)], columns=read_columns(table) if owners else None)
    return evaluate(Evaluation(data, ReconstructionFolder(made), [Distance()], root / name, part=2))


def looped(values: dict[str, list[float]], owners: dict[str, str], draws: int) -> tuple[float, float]:
    """Return the interval of a mean: owners drawn with the same random numbers, all else plain Python."""
    of_owner: dict[str, list[float]] = {}
    for key in sorted(values):
        of_owner.setdefault(owners[key], []).extend(values[key])
    lists = list(of_owner.values())
    picks = torch.randint(len(lists), (draws, len(lists)), generator=torch.Generator().manual_seed(0)).tolist()
    means = [np.mean([value for place in row for value in lists[place]]) for row in picks]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def values_of(results: Results, measure: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    if measure == "mae":
        return {row["key"]: [row["mae"]] for row in results.images.to_pylist()}
    for row in results.instances.to_pylist():
        found.setdefault(row["key"], []).append(dict(row["values"])[measure])
    return found


@pytest.mark.parametrize("owners", [OF_THREE, KEYS], ids=["of three", "each its own"])
@pytest.mark.parametrize("measure", ["mae", "box"])
def test_owners_are_drawn_whole(tmp_path: Path, owners: list[str], measure: str) -> None:
    found = evaluated(tmp_path, owners)
    score = found.summary.score(measure)
    assert score is not None
    expected = looped(values_of(found, measure), dict(zip(KEYS, owners, strict=True)), 1000)
    assert (score.low, score.high) == pytest.approx(expected, abs=1e-12)
    assert not [one.group for one in found.summary.scores if "=" in one.group]  # owners make no groups


def test_images_of_their_own_have_the_intervals_that_they_had_bit_for_bit(tmp_path: Path) -> None:
    """However the owners are called: here their names sort the other way round."""
    plain = evaluated(tmp_path, None).summary
    named = evaluated(tmp_path, [f"picture {IMAGES - number}" for number in range(IMAGES)], "named").summary
    assert named.scores == plain.scores
    assert named.data_identity == plain.data_identity
    assert not plain.notes
    assert not named.notes


def test_of_one_owner_alone_there_is_no_interval(tmp_path: Path) -> None:
    found = evaluated(tmp_path, ["one"] * IMAGES)
    assert {(score.low, score.high) for score in found.summary.scores} == {(None, None)}
    assert "All 7 images were cut from one picture" in found.summary.notes[0]
    rows = name_rows([found, found])
    (difference,) = (line[0] for _, line in comparisons(rows, find_columns(rows), Tables(print))[0].rows)
    assert difference is not None
    assert (difference.low, difference.high, difference.verdict) == ("", "", "noise")


def test_comparisons_draw_owners_and_the_page_counts_and_names_them(tmp_path: Path) -> None:
    first = evaluated(tmp_path, OF_THREE)
    assert first.summary.notes[0] == "The 7 images were cut from 3 pictures: intervals draw pictures."
    for number in range(IMAGES):  # another tokenizer: some images as they are, others worse
        file = tmp_path / "made" / "a" / f"{number}.png"
        if number % 3:
            file.write_bytes((tmp_path / "photos" / "a" / f"{number}.png").read_bytes())
    rows = name_rows([first, evaluated(tmp_path, OF_THREE, "other")])
    columns = find_columns(rows)
    found = comparisons(rows, columns, Tables(print))[0]
    for place, measure in enumerate(column.measure for column in found.columns):
        difference = found.rows[0][1][place]
        assert difference is not None
        before, after = (values_of(row.results, measure) for row in rows)
        less = {key: [b - a for a, b in zip(before[key], after[key], strict=True)] for key in before}
        expected = looped(less, dict(zip(KEYS, OF_THREE, strict=True)), 2000)
        assert (difference.interval.low, difference.interval.high) == pytest.approx(expected, abs=1e-12)
    assert not [one for one in findings([found]) if "no interval" in one.said]
    assert sets(rows) == [("photos", 7, 3)]
    shown = browser(rows, columns, 100, print).data["instances"]
    assert {(one["key"], one["owner"]) for one in shown} == set(zip(KEYS[1:], OF_THREE[1:], strict=True))


def test_parts_and_results_of_earlier_versions_have_no_owners(tmp_path: Path) -> None:
    unbroken = evaluated(tmp_path, None)
    data, made = open_originals([str(tmp_path / "photos")]), ReconstructionFolder(tmp_path / "made")
    stopped = Evaluation(data, made, [Distance()], tmp_path / "stopped", part=2)
    stopped.prepare()
    stopped.examine()
    for place in (0, 2):
        part = tmp_path / "stopped" / "parts" / f"{place:06d}"
        write_table(joined([part], "images.parquet", without=["owner"]), part / "images.parquet")
    assert stopped.finish().summary.scores == unbroken.summary.scores
    write_table(unbroken.images.drop_columns(["owner"]), unbroken.folder / "images.parquet")
    assert replace(unbroken).owners == {}

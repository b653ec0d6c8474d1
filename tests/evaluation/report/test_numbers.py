"""The page's numbers beside others: counted by hand, or computed again from the tables by other means."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from regionloss.evaluation import Results, Score
from regionloss.evaluation.benchmarks.base import Measure
from regionloss.evaluation.report.cautions import cautions
from regionloss.evaluation.report.columns import Column, Row, find_columns, name_rows, number
from regionloss.evaluation.report.differences import Tables, comparisons, findings
from regionloss.evaluation.report.distortion import LABEL, Mark, plots, published, width_of
from regionloss.evaluation.report.groups import column_tables, counts_of, size_tables
from regionloss.evaluation.report.instances import Browser, browser
from regionloss.evaluation.report.tables import Cell, rank, summary_tables
from tests.evaluation.report.fabricated import fabricate


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("results")
    blurs = {"control": 1.6, "ours": 0.9, "third": 1.61}
    return name_rows([fabricate(folder / name, name, blur=blur, words=150) for name, blur in blurs.items()])


def column(rows: list[Row], measure: str, judge: str) -> Column:
    return next(one for one in find_columns(rows) if (one.measure, one.judge) == (measure, judge))


def changed(row: Row, **changes: object) -> Row:
    return replace(row, results=Results(row.results.folder, replace(row.summary, **changes)))


def test_differences_are_paired_and_their_interval_is_the_bootstrap_s(rows: list[Row]) -> None:
    told: list[str] = []
    found = comparisons(rows, find_columns(rows), Tables(told.append))
    assert [one.baseline.name for one in found] == ["control", "ours", "third"]
    first = found[0]
    at = first.columns.index(column(rows, "t_ned", "text/reader"))
    ours = next(line[at] for row, line in first.rows if row.name == "ours")
    values = []
    for table in [row.results.instances.to_pylist() for row in rows[:2]]:
        own = [row for row in table if row["judge"] == "text/reader" and row["problem"] is None]
        values.append({(row["key"], row["number"]): dict(row["values"])["t_ned"] for row in own})
    by_image: dict[str, list[float]] = {}
    for place in values[0]:
        by_image.setdefault(place[0], []).append(values[1][place] - values[0][place])
    draw, images = np.random.default_rng(7), list(by_image.values())
    means = []
    for _ in range(3000):
        some = [value for i in draw.integers(len(images), size=len(images)) for value in images[i]]
        means.append(np.mean(some))
    assert ours is not None
    assert ours.interval.mean == pytest.approx(np.mean([v for image in images for v in image]))
    assert (ours.interval.low, ours.interval.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.006)
    assert (ours.pairs, ours.verdict) == (149, "better")
    other_way = next(line[at] for row, line in found[1].rows if row.name == "control")
    assert other_way is not None
    assert (other_way.interval.mean, other_way.verdict) == (pytest.approx(-ours.interval.mean), "worse")
    assert not told


def test_fewer_is_better_where_the_measure_says_so_and_sets_do_not_pair(rows: list[Row]) -> None:
    first = comparisons(rows, find_columns(rows), Tables(print))[0]
    names = [one.measure for one in first.columns]
    assert "rfid" not in names
    line = dict(zip(names, next(line for row, line in first.rows if row.name == "ours"), strict=True))
    assert line["lpips"] is not None
    assert (line["lpips"].text[0], line["lpips"].verdict) == ("−", "better")


def test_other_data_or_other_tools_give_a_caution_and_no_difference(rows: list[Row]) -> None:
    assert cautions(rows) == []
    other = changed(rows[1], data_identity="zzz", data="other signs")
    (sentence,) = cautions([rows[0], other])
    assert "control: 'street signs' (a1b2c3); ours: 'other signs' (zzz)" in sentence
    assert comparisons([rows[0], other], find_columns(rows), Tables(print)) == []
    table = summary_tables([rows[0], other], find_columns(rows))[0]
    assert {cell.rank for _, line in table.rows for cell in line} == {0}
    tools = changed(
        rows[1], about=dict(rows[1].summary.about) | {"text": {"judges": {"text/reader": {"tool": "other"}}}}
    )
    (sentence,) = cautions([rows[0], tools])
    assert sentence.startswith("The results of 'text' were made with different tools")
    (first, _) = comparisons([rows[0], tools], find_columns(rows), Tables(print))
    assert {one.benchmark for one in first.columns} == {"face", "general"}
    notes = summary_tables([rows[0], tools], find_columns(rows))[0].notes
    assert [(note.judge, tuple(note.names)) for note in notes[:2]] == [
        ("text/reader", ("control",)),
        ("text/reader", ("ours",)),
    ]
    assert "at 512 px; ours at 256 px" in cautions([rows[0], changed(rows[1], setting=256)])[0]


def test_a_table_that_cannot_be_read_is_told_and_the_rest_stands(rows: list[Row], tmp_path: Path) -> None:
    broken = fabricate(tmp_path / "broken", "broken", words=8)
    (tmp_path / "broken" / "instances.parquet").write_bytes(b"PAR1 no")
    both = name_rows([rows[0].results, broken])
    told: list[str] = []
    first = comparisons(both, find_columns(both), Tables(told.append))[0]
    assert {one.measure for one in first.columns} == {"psnr", "lpips"}
    found = browser(both, find_columns(both), 1000, told.append)
    assert found.shown == 156
    assert len(told) == 2
    assert all("broken" in sentence and "instances.parquet" in sentence for sentence in told)


def test_the_best_and_the_second_are_marked_and_what_is_shown_as_equal_shares() -> None:
    more, less = (Column("b", "m", "", Measure("M", "%", higher)) for higher in (True, False))
    assert rank([0.1, 0.3, 0.2, None], more) == [0, 1, 2, 0]
    assert rank([0.1, 0.3, 0.2], less) == [1, 0, 2]
    assert rank([0.3, 0.30001, 0.1], more) == [1, 1, 2]
    assert rank([0.3, 0.3], more) == [0, 0]
    assert rank([0.3, None], more) == [0, 0]
    assert rank([math.inf, 30.0], more) == [1, 2]


def test_numbers_have_the_digits_that_they_deserve() -> None:
    assert [number(0.12345, "%"), number(23.456, "dB"), number(0.36249), number(1234567.0)] == [
        "12.3",
        "23.46",
        "0.362",
        "1,234,567",
    ]
    assert [number(math.inf, "dB"), number(-math.inf), number(math.nan)] == ["∞", "−∞", "no instances"]
    assert [number(-0.5, "dB", True), number(0.005, "%", True)] == ["−0.50", "+0.5"]


def test_absent_scores_are_words_never_nan(rows: list[Row]) -> None:
    known = {name: about for name, about in rows[1].summary.measures.items() if not name.startswith("face")}
    scores = [Score("text", "t_acc", math.nan, "text/reader"), Score("general", "psnr", math.inf)]
    bare = changed(rows[1], scores=scores, measures=known)
    tables = {table.title: table for table in summary_tables([rows[0], bare], find_columns([rows[0], bare]))}
    words = [cell.text for cell in tables["text"].rows[1][1]]
    assert words == ["no instances"] * 4
    assert [cell.text for cell in tables["face"].rows[1][1]] == ["not measured"]
    assert [cell.text for cell in tables["general"].rows[1][1]] == ["∞", "no instances", "no instances"]
    empty = changed(rows[0], scores=[])
    (first, *_) = summary_tables([empty], find_columns([empty]))
    assert [one.measure for one in first.columns] == ["t_acc", "t_ned"]


def test_groups_name_both_means_and_the_gap(rows: list[Row]) -> None:
    table = size_tables(rows, find_columns(rows))[0]
    assert [name for name, _ in table.groups] == [
        "small",
        "medium",
        "large",
        "mean of the three groups",
        "mean of all instances",
    ]
    means = [float(cell.text) for cell in table.rows[0][1]]
    assert means[3] == pytest.approx(sum(means[:3]) / 3, abs=0.1)
    by_tone = column_tables(rows, find_columns(rows))["tone"][0]
    values = [float(cell.text) for cell in by_tone.rows[0][1]]
    assert [name for name, _ in by_tone.groups] == ["I-III", "IV-VI", "gap between best and worst"]
    assert values[2] == pytest.approx(abs(values[0] - values[1]), abs=0.0011)


def test_groups_of_tokenizers_that_lack_images_have_the_numbers_of_both() -> None:
    cells = [[Cell("1", count=86), Cell("1", count=1500)], [Cell("1", count=95), Cell("1", count=1500)]]
    assert counts_of([(cast(Row, None), line) for line in cells]) == ["86 to 95", "1,500"]


def test_plots_have_published_points_and_leave_out_tokenizers_without_a_rate(rows: list[Row]) -> None:
    found = plots([*rows[:2], changed(rows[2], facts={})], find_columns(rows))
    assert [plot.title for plot in found] == [
        "T-ACC, by text/reader",
        "T-ACC, by text/reader-ctc",
        "F-Sim, by face/knower",
    ]
    assert [plot.missing for plot in found] == [["third"]] * 3
    assert [point.name for point in found[0].points if point.place is not None] == ["control", "ours"]
    theirs = [one for one in found[0].points if one.place is None]
    assert len(theirs) == len(published()["points"]) == 11
    for plot in found:
        boxes = [p.label.box(width_of(Mark(p.name, 0, 0, p.place))) for p in plot.points]
        over = sum(
            a[0] < b[2] and b[0] < a[2] and abs(a[1] - b[1]) < LABEL - 1 for i, a in enumerate(boxes) for b in boxes[:i]
        )
        assert over == 0, plot.title
    assert plots([changed(rows[0], facts={"bpp": math.inf})], find_columns(rows)) == []


def test_published_figures_are_the_paper_s() -> None:
    by_name = {one["name"]: one for one in published()["points"]}
    assert (by_name["InsightTok"]["t_acc"], by_name["InsightTok"]["f_sim"], by_name["VAR"]["bpp"]) == (
        0.5305,
        0.36,
        0.1025,
    )
    tokens = {"Chameleon": (1024, 8192), "VAR": (2240, 4096), "Emu3.5-IBQ": (1024, 131072), "IBQ-16k": (1024, 16384)}
    for name, (count, codes) in tokens.items():
        assert by_name[name]["bpp"] == pytest.approx(count * math.log2(codes) / 512**2, abs=6e-5)


def test_of_too_many_instances_the_worst_the_most_different_and_any_are_shown(rows: list[Row]) -> None:
    every = browser(rows, find_columns(rows), 1000, print)
    some = browser(rows, find_columns(rows), 30, print)
    assert (every.shown, some.shown, some.total) == (156, 30, 156)

    assert [sum(one["kind"] == kind for one in some.data["instances"]) for kind in ("text", "face")] == [29, 1]

    def values(found: Browser) -> list[list[list[float]]]:
        texts = [one["said"] for one in found.data["instances"] if one["kind"] == "text"]
        return [[v for said in one for v in said["values"].values()] for one in texts if one[0]["values"]]

    def worst(found: Browser) -> float:
        return min(float(np.mean(one)) for one in values(found))

    def spread(found: Browser) -> float:
        return max(max(by_tokenizer) - min(by_tokenizer) for one in values(found) for by_tokenizer in one)

    assert (worst(some), spread(some)) == (worst(every), spread(every))


def test_tokenizers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = [fabricate(tmp_path / name / "x", "same", words=2) for name in "ab"]
    found += [fabricate(tmp_path / "c", "same", words=2), fabricate(tmp_path / "d", "", words=2)]
    assert [row.name for row in name_rows(found)] == ["same (x)", "same (x) #2", "same (c)", "d"]


def test_findings_say_how_sure_they_are(rows: list[Row]) -> None:
    first = comparisons(rows, find_columns(rows), Tables(print))[:1]
    found = {one.name: one.said for one in reversed(findings(first)) if one.said.startswith("T-ACC by text/reader ")}
    assert re.search(r"% against \d+\.\d%; on the same 149 instances \+\d+\.\d points \(95% interval \+", found["ours"])
    assert found["third"].endswith("within the noise of this test.")
    assert {one.name for one in findings(first, without="third")} == {"ours"}

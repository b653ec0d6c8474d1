"""`regionloss aggregate`: TokBench's result files, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from regionloss.evaluation.tokbench import Means, Row

TITLES = {"accuracy": "T-ACC", "ned": "T-NED", "similarity": "F-Sim"}
OFFICIAL = {"accuracy": "acc", "ned": "ned", "similarity": "sim"}
MEANS = ("mean of groups", "mean in groups", "mean of all")
HINT = (
    "'mean of groups' is the plain mean of the three group means, the 'mean' of TokBench's table; 'mean in groups' is "
    "over the instances of the groups, 'mean of all' over those outside of them, too."
)


def aggregate(
    files: Annotated[list[Path], typer.Argument(help="Result files, texts and faces; data sets are pooled.")],
    setting: Annotated[
        int | None, typer.Option(help="Side that images were reconstructed at: 256, 512 or 1024; all without it.")
    ] = None,
    official: Annotated[
        bool,
        typer.Option(
            "--official",
            help="Print the rows of TokBench's script as it does, with what it leaves out, and nan for empty groups.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, numbers unrounded, null where there is none.")
    ] = False,
) -> None:
    """Average TokBench's own result files by size group, as its table does."""
    from regionloss.evaluation import tokbench

    if setting is not None:
        tokbench.check_setting(setting)
    read = [tokbench.read_result_file(path) for path in {path.resolve(): path for path in files}.values()]
    asked = [setting] if setting is not None else tokbench.settings_of(read)
    tables = {one: tokbench.aggregate(read, one) for one in asked}
    printed = {one: tokbench.official(rows, read) for one, rows in tables.items()}
    problems = [sentence for file in read if (sentence := tokbench.unusable(file))]
    if official:
        print_official(printed, as_json)
    elif as_json:
        print_json({"rows": [plain(row) for rows in tables.values() for row in rows], "problems": problems})
    else:
        for one, rows in tables.items():
            print_rows(one, rows, printed[one])
        typer.echo(HINT)
    for sentence in problems:
        typer.echo(sentence, err=True)


def print_rows(setting: int, rows: Sequence[Row], printed: Sequence[Row]) -> None:
    """Print a table for texts and one for faces, and what cannot be seen in them."""
    from regionloss.console.tables import print_table
    from regionloss.evaluation.benchmarks.sizes import GROUPS
    from regionloss.evaluation.tokbench import MEASURES, ORIGINALS

    for kind, measures in MEASURES.items():
        mine = [row for row in rows if row.kind == kind]
        if not mine:
            continue
        columns = [f"{TITLES[measure]} {part}" for measure in measures for part in (*GROUPS, *MEANS)]
        cells = []
        for row in mine:
            name = f"{row.method} (ceiling)" if row.method == ORIGINALS else row.method
            numbers = (means for measure in measures for means in cells_of(row.measures[measure]))
            cells.append([name, *numbers])
        print_table(f"{kind} at {setting}", ["method", *columns], cells)
        for row in mine:
            for sentence in sentences(row, row in printed):
                typer.echo(sentence)


def cells_of(means: Means) -> list[str]:
    """Return the numbers of a measure as percentages; of an empty group, that it is."""
    groups = ["no instances" if value is None else f"{value:.2%}" for value in means.groups]
    mean = "a group is empty" if means.mean is None else f"{means.mean:.2%}"
    return [*groups, mean, *("no instances" if v is None else f"{v:.2%}" for v in (means.grouped, means.instances))]


def sentences(row: Row, printed: bool) -> list[str]:
    """Return how many instances a row has, what it lacks, and whether TokBench's own table has it."""
    from regionloss.evaluation.benchmarks.sizes import EDGES, GROUPS

    edges = EDGES[row.setting][row.kind]
    counts = ", ".join(f"{count} {group}" for group, count in zip(GROUPS, row.counts, strict=True))
    found = [f"{row.method}: {counts}."]
    if row.outside:
        total = row.outside + sum(row.counts)
        where = f"a ratio below {edges[0]:g}, or {edges[-1]:g} and more"
        found.append(
            f"{row.method}: {row.outside} of {total} dropped, {where}; the smallest is {row.smallest_outside}."
        )
    if row.missing:
        found.append(f"{row.method}: pooled without {', '.join(row.missing)}, which do not have it at {row.setting}.")
    return found if printed else [*found, f"{row.method}: TokBench's own table leaves this row out (--official)."]


def print_official(tables: dict[int, list[Row]], as_json: bool) -> None:
    """Print the rows of TokBench's own table."""
    from regionloss.console.tables import print_table
    from regionloss.evaluation.benchmarks.sizes import GROUPS
    from regionloss.evaluation.tokbench import MEASURES

    kinds = {kind: [row for rows in tables.values() for row in rows if row.kind == kind] for kind in MEASURES}
    if as_json:
        print_json({kind: [official_cells(row) for row in rows] for kind, rows in kinds.items() if rows})
        return
    for kind, rows in kinds.items():
        if rows:
            columns = [f"{OFFICIAL[measure]} {part}" for measure in MEASURES[kind] for part in (*GROUPS, "mean")]
            print_table(kind, ["method", "setting", *columns], map(official_cells, rows))


def official_cells(row: Row) -> list[str]:
    """Return a row as TokBench's script prints it."""
    numbers = [value for means in row.measures.values() for value in (*means.groups, means.mean)]
    return [row.method, str(row.setting), *("nan%" if value is None else f"{value:.2%}" for value in numbers)]


def print_json(found: dict[str, Any]) -> None:
    """Print plain data."""
    import json

    typer.echo(json.dumps(found, indent=1, allow_nan=False))


def plain(row: Row) -> dict[str, Any]:
    """Return a row as plain data, groups by name."""
    from dataclasses import asdict

    from regionloss.evaluation.benchmarks.sizes import GROUPS

    found = asdict(row)
    found["counts"] = dict(zip(GROUPS, row.counts, strict=True))
    for measure, means in row.measures.items():
        numbers = {"mean_of_groups": means.mean, "mean_in_groups": means.grouped, "mean_of_all": means.instances}
        found["measures"][measure] = dict(zip(GROUPS, means.groups, strict=True)) | numbers
    return found

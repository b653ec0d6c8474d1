"""`regionloss components`."""

from __future__ import annotations

from typing import Annotated

import typer

from regionloss.console.options import Csv, Json
from regionloss.console.tables import print_rows, print_table
from regionloss.errors import UnknownNameError, did_you_mean
from regionloss.hooks.catalogue import KINDS, Catalogue, catalogue
from regionloss.hooks.records import Component, TermRecord
from regionloss.weights.locate import find

COLUMNS = ["name", "summary", "licence", "from", "weights"]
TERM_COLUMNS = ["name", "summary", "weight", "licence", "from", "weights"]
Kind = Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}, term.", show_default=False)]


def components(kind: Kind = "", as_json: Json = False, as_csv: Csv = False) -> None:
    """List what recipes can name."""
    known = catalogue()
    kinds = (*KINDS, "term")
    # People write the plural, as this command's own name does.
    wanted = kind if kind in kinds else kind.removesuffix("s")
    if kind and wanted not in kinds:
        raise UnknownNameError(f"there is no kind of component '{kind}'. {did_you_mean(kind, kinds)}")
    tables = {
        each: term_rows(known) if each == "term" else component_rows(known, each)
        for each in (kinds if not wanted else (wanted,))
    }
    data = [row for each, rows in tables.items() for row in as_data(known, each, rows)]
    if print_rows(data, ["kind", *TERM_COLUMNS], as_json, as_csv):
        return
    for each, rows in tables.items():
        if rows or wanted:
            print_table(f"{each}s", TERM_COLUMNS if each == "term" else COLUMNS, rows)
            typer.echo("")


def as_data(known: Catalogue, kind: str, rows: list[list[str]]) -> list[dict[str, object]]:
    """Return the rows of a table by column, with names as recipes take them, and weights of terms as numbers."""
    columns = TERM_COLUMNS if kind == "term" else COLUMNS
    plain: list[dict[str, object]] = [
        {"kind": kind, **dict.fromkeys(TERM_COLUMNS), **dict(zip(columns, row, strict=True))} for row in rows
    ]
    if kind == "term":
        for row, term in zip(plain, known.terms(), strict=True):
            row |= {"name": term.canonical, "weight": term.weight}
    return plain


def component_rows(known: Catalogue, kind: str) -> list[list[str]]:
    """Return a row for each component of a kind."""
    return [
        [one.canonical, one.summary, one.licence, f"{one.distribution} {one.version}", weights_state(known, one)]
        for one in known.components(kind)
    ]


def term_rows(known: Catalogue) -> list[list[str]]:
    """Return a row for each term; the default of its plugin is marked with the name that stands for it."""
    rows = []
    for term in known.terms():
        name = f"{term.canonical} ({term.plugin})" if term.default else term.canonical
        origin = f"{term.distribution} {term.version}"
        rows.append([name, term.summary, f"{term.weight:g}", term.licence, origin, term_state(known, term)])
    return rows


def term_state(known: Catalogue, term: TermRecord) -> str:
    """Return whether the weights of a term's backbone are here."""
    try:
        return weights_state(known, known.find("backbone", term.backbone, plugin=term.plugin))
    except LookupError:
        return f"no backbone '{term.backbone}'"


def weights_state(known: Catalogue, component: Component) -> str:
    """Return `here`, `missing: NAME`, or `-` where none are needed; hashes are not checked (`weights verify` does)."""
    missing = []
    for name in component.weights:
        try:
            record = known.weight(name, plugin=component.plugin)
        except LookupError:
            missing.append(f"{name} (not registered)")
            continue
        if find(record) is None:
            missing.append(record.name)
    if missing:
        return f"missing: {', '.join(missing)}"
    return "here" if component.weights else "-"

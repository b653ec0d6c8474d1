"""One HTML page that needs nothing but a browser: numbers, plots, and every instance to look at."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from regionloss.disk import whole
from regionloss.errors import InputError, expected
from regionloss.evaluation.report.cautions import cautions
from regionloss.evaluation.report.columns import Column, Row, fact, find_columns, name_rows
from regionloss.evaluation.report.curves import Curves, loss_curves
from regionloss.evaluation.report.differences import Comparison, Conclusion, Tables, comparisons, findings
from regionloss.evaluation.report.distortion import Plot, plots, published
from regionloss.evaluation.report.groups import GroupTable, column_tables, size_tables
from regionloss.evaluation.report.instances import Browser, browser
from regionloss.evaluation.report.tables import Table, summary_tables
from regionloss.evaluation.results import Results

T = TypeVar("T")
SCRIPTS = ("page.js", "letters.js", "browser.js")
#: Most instances on a page.
MOST = 5000


@dataclass(frozen=True)
class Origin:
    """How the tokenizers of a page were made, where one run made them.

    Args:
        command: The command that was typed.
        resolved: The resolved recipe (`regionloss.recipe.resolved`): recipe, versions, components, licences.
        seconds: Time of each stage by its name, in order.
        credits: What the images are made of, with the rights in each.
    """

    command: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    credits: Sequence[tuple[str, str]] = ()


def write_report(
    results: Sequence[Results],
    path: Path,
    *,
    title: str | None = None,
    curves: Curves | None = None,
    origin: Origin | None = None,
    notes: Sequence[str] = (),
    most: int = MOST,
) -> Path:
    """Write a page that shows results side by side, and return its path. The page needs no other file.

    What cannot be drawn is left out, and the page says what and why: it is the last thing of a long run to lose.

    Args:
        results: One for each tokenizer; the first is the one that the others are compared with.
        path: File to write.
        title: Title of the page; made of the tokenizers' names where it is None.
        curves: Losses during training.
        origin: How the tokenizers were made.
        notes: Sentences for the reader.
        most: Most instances on the page; of more, the worst, the most different and an even choice are shown.

    Raises:
        InputError: No results.
        DiskError: The file cannot be written.
    """
    if not results:
        raise InputError(expected("report", "results of one tokenizer at least", "none"))
    rows = name_rows(results)
    names = " beside ".join(row.name for row in rows) if len(rows) < 4 else f"{len(rows)} tokenizers side by side"
    page = (
        environment()
        .get_template("report.html.jinja")
        .render(title=names if title is None else title, origin=origin, notes=notes, **context(rows, curves, most))
    )
    with whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def environment() -> Environment:
    """Return what the template is rendered with."""
    found = Environment(
        loader=PackageLoader("regionloss.evaluation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"duration": duration, "fact": fact, "weights": used_weights, "yaml": as_yaml}
    found.filters |= {"by_column": by_column, "means": means, "sets": sets}
    return found


def context(rows: Sequence[Row], curves: Curves | None, most: int) -> dict[str, Any]:
    """Return what the template shows besides what is given."""
    missing: list[str] = []

    def drawn(what: str, draw: Callable[[], T], instead: T) -> T:
        try:
            return draw()
        except Exception as error:  # of any kind: of the drawing's libraries, of what users named
            missing.append(f"Not shown: {what} ({type(error).__name__}: {error}).")
            return instead

    def told(sentence: str) -> None:
        missing.append(sentence)

    columns = drawn("the scores", lambda: find_columns(rows), list[Column]())
    tables = Tables(told)
    differences = drawn("differences", lambda: comparisons(rows, columns, tables), list[Comparison]())
    shown = drawn("the instances", lambda: browser(rows, columns, most, told), Browser({}, (), 0, 0))
    begun = curves.start_name if curves else None
    script = scripts()
    return {
        "rows": rows,
        "missing": missing,
        "cautions": cautions(rows),
        "findings": drawn("what was found", lambda: findings(differences[:1], begun), list[Conclusion]()),
        "tables": drawn("the tables", lambda: summary_tables(rows, columns), list[Table]()),
        "ceilings": any(score.ceiling is not None for row in rows for score in row.summary.scores),
        "differences": differences,
        "plots": drawn("the rate-distortion plots", lambda: plots(rows, columns), list[Plot]()),
        "published": published(),
        "sizes": drawn("the size groups", lambda: size_tables(rows, columns), list[GroupTable]()),
        "groups": drawn("the groups of the data", lambda: column_tables(rows, columns), dict[str, list[GroupTable]]()),
        "browser": shown,
        "browser_json": Markup(as_json(shown.data)),
        "curves": Markup(drawn("the losses during training", lambda: loss_curves(curves), "") if curves else ""),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }


def scripts() -> str:
    """Return the page's script."""
    folder = files("regionloss.evaluation.report") / "templates"
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)


def as_json(data: Any) -> str:
    """Return data as JSON that neither ends the element it stands in nor begins another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def sets(rows: Sequence[Row]) -> list[tuple[str, int, int]]:
    """Return the sets of images of the page, each once, with their numbers of images, and of pictures of these."""
    found = {(row.summary.data, row.summary.data_identity): row for row in rows}
    images = [(data, row.summary.images, len({*row.owners.values()})) for (data, _), row in found.items()]
    return [(data, count, pictures or count) for data, count, pictures in images]


def means(per: str) -> str:
    """Return what a number is a mean over, as words below its column's title."""
    return {"instance": "mean of instances", "image": "mean of images", "set": "all images together"}.get(per, per)


def by_column(groups: Iterable[tuple[str, list[GroupTable]]]) -> list[tuple[str, list[GroupTable]]]:
    """Return tables of groups with their headings."""
    return [(f"By '{name}'", tables) for name, tables in groups]


def as_yaml(data: Any) -> str:
    """Return data as people write recipes."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def used_weights(resolved: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the weight files of all components, each once."""
    found: dict[str, dict[str, str]] = {}
    for component in resolved.get("components", ()):
        for weight in component.get("weights", ()):
            found.setdefault(weight["name"], weight)
    return list(found.values())

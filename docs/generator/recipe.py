"""The reference of recipes: every key of the fixed part and of each trainer, from their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from docs.generator.schema import KEYS, REQUIRED, Row, is_schema, nested, rows_of, type_text
from docs.generator.text import BY, cell, paragraphs
from insighttok_ref.quantizers.build import GIVEN
from regionloss.hooks.catalogue import build_catalogue
from regionloss.hooks.term_parts import PARTS
from regionloss.recipe import Recipe
from regionloss.recipe.schema import PartUse, TermUse, TrainerUse
from regionloss.schedules import WeightSchedule

INTRODUCTION = """\
A recipe is one YAML file. `regionloss check RECIPE` lists all its mistakes at once; `regionloss show RECIPE` prints it
with every default; `KEY.PATH=VALUE` on the command line changes a key (`trainer.options.phases.0.steps=500`). A key
without a default is required; `null` stands for none."""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [f"# Recipes\n\n{BY}\n\n{INTRODUCTION}"]
    parts += fixed_part()
    known, shown = build_catalogue(["insighttok"]), {WeightSchedule: "terms.NAME.weight"}
    for trainer in reversed(known.components("trainer")):
        parts.append(f"## Trainer `{trainer.name}`\n\n{trainer.summary[0].upper()}{trainer.summary[1:]}.")
        target = known.load("trainer", trainer.name)
        parts += sections("trainer.options", target, shown) if target not in shown else []
    described = {getattr(schema, "__constructor__", schema) for schema in shown}
    for quantizer in known.components("quantizer"):
        target = known.load("quantizer", quantizer.name)
        if target not in described:
            rows = [row for row in rows_of(target) if row.name not in GIVEN]
            title = f"### `trainer.options.model.quantizer` with `use: {quantizer.canonical}`"
            parts += [title, *paragraphs(target)[:1], table(rows, {})]
    return "\n\n".join(parts) + "\n"


def fixed_part() -> list[str]:
    """Return the sections of what every recipe has."""
    terms = {**dict.fromkeys(PARTS, "terms.NAME.PART"), "weight": "terms.NAME.weight"}
    return [
        "## The fixed part",
        table(rows_of(Recipe), {"terms": "terms.NAME", "trainer": "trainer"}),
        "### `terms.NAME`",
        *paragraphs(TermUse),
        table(rows_of(TermUse), terms),
        "### `terms.NAME.weight`",
        *paragraphs(WeightSchedule),
        table(rows_of(WeightSchedule), {}),
        "### `terms.NAME.PART`",
        *paragraphs(PartUse),
        table(rows_of(PartUse), {}),
        "### `trainer`",
        *paragraphs(TrainerUse),
        table(rows_of(TrainerUse), {}),
    ]


def sections(path: str, schema: Any, shown: dict[Any, str]) -> list[str]:
    """Return a section of a schema's keys, and those of the schemas inside of it, each schema once.

    Args:
        path: Of the key whose value has this schema.
        schema: As `rows_of` takes it.
        shown: Where each schema has its section; grows.
    """
    shown[schema] = path
    rows = rows_of(schema)
    inside = {row.name: found for row in rows if (found := nested(row.annotation)) is not None}
    new: dict[Any, str] = {}
    for name, (suffix, found) in inside.items():
        if found not in shown:
            new.setdefault(found, f"{path}.{name}{suffix}")
    places = {name: {**new, **shown}[found] for name, (_, found) in inside.items()}
    about = [] if path == "trainer.options" else paragraphs(getattr(schema, "__constructor__", schema))[:1]
    parts = [f"### `{path}`", *about, table(rows, places)]
    for found, place in new.items():
        if found not in shown:
            parts += sections(place, found, shown)
    return parts


def table(rows: list[Row], places: Mapping[str, str]) -> str:
    """Return keys as a table; those whose values have keys of their own say where these are."""
    lines = []
    for row in rows:
        kind = type_text(row.annotation)
        if row.name in places:
            kind = kind.replace(KEYS, f"keys of `{places[row.name]}`")
        cells = (f"`{row.name}`", kind, default_text(row.default), row.meaning)
        lines.append(f"| {' | '.join(map(cell, cells))} |")
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *lines])


def default_text(value: Any) -> str:
    """Return a default as YAML writes it; nothing where the key is required, or its own keys say it."""
    if value is REQUIRED:
        return ""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if is_schema(type(value)) or (isinstance(value, Mapping) and any(is_schema(type(v)) for v in value.values())):
        return "its keys' own"
    if isinstance(value, tuple | list):
        return "`[" + ", ".join(default_text(one).strip("`") for one in value) + "]`"
    if isinstance(value, Mapping):
        return "`{" + ", ".join(f"{key}: {default_text(one).strip('`')}" for key, one in value.items()) + "}`"
    return f"`{value}`"

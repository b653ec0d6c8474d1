"""The parts of a term after changes: which component, with which options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regionloss.hooks.records import TermRecord

PARTS = ("detector", "extractor", "backbone", "distance", "weighting")

#: What to change in a term: by part, another component's name (None keeps the term's own) and options.
Changes = Mapping[str, tuple[str | None, Mapping[str, Any]]]


@dataclass(frozen=True)
class ChosenPart:
    """A part of a term.

    Args:
        kind: One of detector, extractor, backbone, distance and weighting.
        name: Name of the component, as the term or the change writes it; empty for no detector.
        options: Options for the part's constructor.
        plugin: The term's plugin, whose components come first, unless a change chose the part.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""


def chosen_parts(record: TermRecord, changes: Changes, region_kind: str | None = None) -> dict[str, ChosenPart]:
    """Return each part of the term `record` with `changes`.

    Another component starts from no options; options alone, or with the same name, change the term's own one by one.

    Args:
        record: The term as it is registered.
        changes: Parts and options that replace the term's own.
        region_kind: The kind of region to read instead of the term's own, whose detector it then has no use for.
    """
    parts = {}
    other_kind = bool(record.kind) and region_kind not in (None, record.kind)
    for kind in PARTS:
        name, options = changes.get(kind, (None, {}))
        own = getattr(record, kind)
        if kind == "detector" and other_kind and kind not in changes:
            own = ""
        if name in (None, own, f"{record.plugin}/{own}"):
            parts[kind] = ChosenPart(kind, own, {**record.options.get(kind, {}), **options}, record.plugin)
        else:
            parts[kind] = ChosenPart(kind, str(name), options)
    return parts

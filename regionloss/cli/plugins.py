"""`regionloss plugins`."""

from __future__ import annotations

from collections import Counter

from regionloss.console.options import Csv, Json
from regionloss.console.tables import print_rows, print_table
from regionloss.hooks.catalogue import Catalogue, catalogue
from regionloss.hooks.records import Component, Plugin, TermRecord, WeightRecord

COLUMNS = ["name", "distribution", "version", "state", "brings"]


def plugins(as_json: Json = False, as_csv: Csv = False) -> None:
    """List the plugins and what each brings."""
    known = catalogue()
    slow = {s.plugin for s in known.slow}
    rows = [[p.name, p.distribution, p.version, "slow" if p in slow else "ok", brings(known, p)] for p in known.plugins]
    rows += [[b.plugin.name, b.plugin.distribution, b.plugin.version, "broken", b.sentence] for b in known.broken]
    rows += [[p.name, p.distribution, p.version, "left out", "not named in REGIONLOSS_PLUGINS"] for p in known.blocked]
    data = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    if not print_rows(data, COLUMNS, as_json, as_csv):
        print_table("Plugins", COLUMNS, rows)


def brings(known: Catalogue, plugin: Plugin) -> str:
    """Return `2 detectors, 1 term` for a plugin."""
    counts = Counter(
        kind_of(record)
        for record in known.records
        if (record.plugin, record.distribution) == (plugin.name, plugin.distribution)
    )
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items()) or "nothing"


def kind_of(record: object) -> str:
    """Return what a record is, in one or two words."""
    if isinstance(record, Component):
        return record.kind
    if isinstance(record, TermRecord):
        return "term"
    return "weight file" if isinstance(record, WeightRecord) else "region kind"

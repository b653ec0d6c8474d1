"""The table of components with their licences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regionloss.hooks.catalogue import build_catalogue

OURS = ("core", "text", "face", "hands", "logo", "insighttok")
START, END = "<!-- components: written by docs/generator -->", "<!-- end of components -->"
KINDS = {"term": "terms", "detector": "detectors", "backbone": "backbones", "judge": "judges"}


def components_table() -> str:
    """Return the terms, detectors, backbones and judges of our own plugins with their licences, as Markdown."""
    known = build_catalogue(OURS)
    rows: list[tuple[str, Any]] = [("term", term) for term in known.terms()]
    rows += [(kind, found) for kind in KINDS if kind != "term" for found in known.components(kind)]
    lines = ["| component | what it is | licence of code and weights |", "|---|---|---|"]
    for kind, plural in KINDS.items():
        lines.append(f"| **{plural}** | | |")
        lines += [f"| `{r.canonical}` | {r.summary} | {r.licence} |" for k, r in rows if k == kind]
    rest = {c.kind: c.licence for c in known.components() if c.kind not in KINDS and c.licence != "Apache-2.0"}
    assert not rest, f"a component outside the table has another licence than ours: {rest}"
    return "\n".join(lines)


def with_table(page: Path) -> str:
    """Return the page of components with the table as it should be."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{components_table()}\n{END}{after}"

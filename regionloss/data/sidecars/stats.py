"""How many regions there are, how large, how sure, and how many a training crop leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

LEAST_VISIBLE, LEAST_SIDE = 0.5, 8.0
DECILES = (10, 50, 90)
DATA = [
    *("kind", "looked_at", "with_some", "regions"),
    *(f"{name}_{n}" for name in ("side", "area", "score") for n in DECILES),
    "survive",
]


class Tally:
    """Adds up rows.

    Args:
        crop: Side of a square crop from the middle of an image whose shorter side is resized to it, pixels.
    """

    def __init__(self, crop: int) -> None:
        self.crop, self.images = crop, 0
        self.scanned: dict[str, int] = defaultdict(int)
        self.with_some: dict[str, int] = defaultdict(int)
        self.survive: dict[str, int] = defaultdict(int)
        self.areas: dict[str, list[float]] = defaultdict(list)
        self.scores: dict[str, list[float]] = defaultdict(list)
        self.sides: dict[str, list[float]] = defaultdict(list)

    @property
    def kinds(self) -> list[str]:
        """Kinds of which there are regions."""
        return sorted(self.areas)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an image."""
        from regionloss.data.sidecars.sidecar import scanned_kinds

        self.images += 1
        for kind in scanned_kinds(row["scans"]):
            self.scanned[kind] += 1
        for kind in {region["kind"] for region in row["regions"]}:
            self.with_some[kind] += 1
        for region in row["regions"]:
            x1, y1, x2, y2 = region["box"]
            self.areas[region["kind"]].append((x2 - x1) * (y2 - y1))
            self.scores[region["kind"]].append(region["score"])
            self.sides[region["kind"]].append(min((x2 - x1) * row["width"], (y2 - y1) * row["height"]))
            self.survive[region["kind"]] += survives(region["box"], row["width"], row["height"], self.crop)

    @property
    def columns(self) -> list[str]:
        """Heads of the table."""
        survivors = f"survive {self.crop} crop"
        return ["kind", "images looked at", "with some", "regions", "shorter side", "area", "score", survivors]

    def table(self) -> list[list[str]]:
        """Return a row for each kind; three numbers are the tenth, the half and nine tenths."""
        rows = []
        for kind in sorted({*self.scanned, *self.areas}):
            found = len(self.areas[kind]) if kind in self.areas else 0
            row = [kind, str(self.scanned[kind]), str(self.with_some[kind]), str(found)]
            if found:
                row.append(deciles(self.sides[kind], "{:.0f}") + " px")
                row += [deciles(self.areas[kind], "{:.2%}"), self.doubts(kind)]
                row.append(f"{self.survive[kind]} ({self.survive[kind] / found:.0%})")
            rows.append(row + ["-"] * (len(self.columns) - len(row)))
        return rows

    def data(self) -> list[dict[str, object]]:
        """Return a row for each kind as numbers: `side_50` is half's shorter side in pixels, `area_50` its share."""
        rows: list[dict[str, object]] = []
        for kind in sorted({*self.scanned, *self.areas}):
            row: dict[str, object] = {"kind": kind, "looked_at": self.scanned[kind], "with_some": self.with_some[kind]}
            row["regions"] = len(self.areas.get(kind, ()))
            for name, found in (("side", self.sides), ("area", self.areas), ("score", self.scores)):
                values = found.get(kind) or [float("nan")]
                row |= {f"{name}_{n}": float(np.percentile(values, n)) for n in DECILES}
            rows.append(row | {"survive": self.survive[kind]})
        return rows

    def doubts(self, kind: str) -> str:
        """Return the deciles of the scores; "-" where all are 1, which stands for none."""
        return "-" if set(self.scores[kind]) == {1.0} else deciles(self.scores[kind], "{:.2f}")


def deciles(values: list[float], form: str) -> str:
    """Return the first, the fifth and the ninth decile."""
    return " / ".join(form.format(value) for value in np.percentile(values, DECILES))


def survives(box: list[float], width: int, height: int, crop: int) -> bool:
    """Whether half of a box, and 8 pixels of its shorter side, are left by a crop from the middle."""
    scale = crop / min(width, height)
    sides = np.array([width * scale, height * scale] * 2)
    x1, y1, x2, y2 = np.array(box) * sides - np.tile((sides[:2] - crop) / 2, 2)
    across, down = min(x2, crop) - max(x1, 0), min(y2, crop) - max(y1, 0)
    if min(across, down) < LEAST_SIDE:
        return False
    return bool(across * down >= LEAST_VISIBLE * (x2 - x1) * (y2 - y1))

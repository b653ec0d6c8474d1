"""The subjects by name."""

from __future__ import annotations

from tests.fuzz import bundles, calls, imports, pictures, recipes, sidecars, tars
from tests.fuzz.judging import Subject

SUBJECTS: dict[str, Subject] = {
    "recipes": recipes.fuzz,
    "side-cars": sidecars.fuzz,
    "tars": tars.fuzz,
    "images": pictures.fuzz,
    "imports": imports.fuzz,
    "bundles": bundles.fuzz,
    "api": calls.fuzz,
}

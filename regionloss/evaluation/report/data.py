"""What a report is made from. The trainer fills it; every number on the page is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from regionloss.data.batches.batch import Batch
from regionloss.judges import Reading


@dataclass(frozen=True)
class JudgeName:
    """A judge as the page names it."""

    name: str
    weights_sha256: str


@dataclass(frozen=True, eq=False)
class Judged:
    """The test images as one tokenizer gives them back (or as they are), and what the judges make of them.

    Args:
        name: Name in tables and legends, e.g. `"control"`.
        summary: What was trained or shown, e.g. `"400 more steps without region terms"`.
        images: Reconstructions (N, 3, H, W) in [-1, 1], by test set.
        readings: Readings by test set, one for each text region; absent where there is no judge.
        embeddings: Embeddings (R, D) by test set, one for each face; absent where there is no judge.
        part: Name of its part of the run in metrics.jsonl; empty for the originals.
    """

    name: str
    summary: str
    images: Mapping[str, Tensor]
    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a report shows.

    Args:
        title: Title of the page.
        test: Test images by set (`text`, `face`, `folder`) with their regions.
        original: The test images themselves, judged: what a perfect tokenizer would reach.
        start: The weights that all arms started from; None where there was no earlier phase.
        arms: The first is the one that the others are compared with.
        judges: Judges by region kind.
        notes: Sentences for the reader: judges that are not here, files that were skipped.
        metrics: Records of metrics.jsonl.
        command: The command that was typed.
        resolved: The resolved recipe (`regionloss.recipe.resolved`): recipe, versions, components, licences.
        seconds: Time of each stage by its name, in order.
        credits: What the images are made of, with the rights in each.
        crops: Words shown, the first of the test set.
    """

    title: str
    test: Mapping[str, Batch]
    original: Judged
    arms: Sequence[Judged]
    start: Judged | None = None
    judges: Mapping[str, JudgeName] = field(default_factory=dict)
    notes: Sequence[str] = ()
    metrics: Sequence[Mapping[str, Any]] = ()
    command: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    credits: Sequence[tuple[str, str]] = ()
    crops: int = 24

    @property
    def rows(self) -> list[Judged]:
        """The originals, the start if there is one, the arms."""
        return [self.original, *([self.start] if self.start is not None else []), *self.arms]

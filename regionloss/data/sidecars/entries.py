"""Entries of a side-car's rows as regions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from regionloss.data.sidecars.schema import FARTHEST
from regionloss.data.sidecars.sidecar import Row
from regionloss.regions.regions import Regions


def kind_regions(kind: str, entries: Sequence[Row], size: tuple[int, int]) -> Regions:
    """Return the entries of one kind as regions of one image of `size` (width, height)."""
    scale, count = torch.tensor(size, dtype=torch.float32), len(entries)
    points = [[v if abs(v) <= FARTHEST else math.nan for v in e["keypoints"] or ()] for e in entries]
    longest = max(map(len, points), default=0)
    # Detectors of one kind may give other numbers of keypoints, or none: what is missing is unknown.
    filled = torch.tensor([[*known, *[math.nan] * (longest - len(known))] for known in points], dtype=torch.float32)
    texts = tuple(e.get("text") or "" for e in entries)
    scores = torch.tensor([e["score"] for e in entries], dtype=torch.float32)
    return Regions(
        kind,
        torch.tensor([e["box"] for e in entries], dtype=torch.float32).reshape(-1, 4) * scale.repeat(2),
        torch.zeros(count, dtype=torch.int64),
        (size[1], size[0]),
        1,
        keypoints=filled.reshape(count, -1, 2) * scale if longest else None,
        # A side-car has 1 where a source has no scores; weightings take none for 1.
        scores=None if bool((scores == 1).all()) else scores,
        texts=texts if any(texts) else None,
    )

"""Judges: networks that read or recognise regions and are never trained against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.regions.regions import Regions


@dataclass(frozen=True)
class Reading:
    """What a text judge read in a region, with its confidence in [0, 1]."""

    text: str
    score: float


@dataclass(frozen=True)
class Embedding:
    """A face judge's description of a region, (D,), of unit length: the cosine of two is their similarity."""

    vector: Tensor


@runtime_checkable
class Judge(Protocol):
    """Reads or recognises regions.

    `weights_sha256` names its network: a judge that is among a run's loss networks is refused.
    """

    kind: str
    weights_sha256: str

    def judge(self, images: Tensor, regions: Regions) -> list[Reading] | list[Embedding]:
        """Return one reading or embedding per region of images (B, 3, H, W) in [-1, 1], in their order."""
        ...

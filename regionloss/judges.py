"""Judges: networks that read or recognise regions and are never trained against."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.regions.regions import Regions

#: Confidence from which a reading of an original counts as what stands there, where nobody transcribed it.
SURE = 0.8


@dataclass(frozen=True)
class Reading:
    """What a text judge read in a region.

    Args:
        text: The characters; empty where there are none.
        score: Its confidence in [0, 1].
        problem: Why the region could not be looked at, beginning with the kind of problem and a colon; empty where it
            was. Such a region counts as not judged, not as misread.
    """

    text: str
    score: float
    problem: str = ""


@dataclass(frozen=True)
class Embedding:
    """A face judge's description of a region, (D,), of unit length: the cosine of two is their similarity."""

    vector: Tensor


@runtime_checkable
class Judge(Protocol):
    """Reads or recognises regions.

    `weights_sha256` names its network: a judge that is among a run's loss networks is refused. `tool`, `pipeline`,
    `language_model` and `characters` (fields of `JudgeFacts`) are welcome beside it, and stand beside its scores.
    """

    kind: str
    weights_sha256: str

    def judge(self, images: Tensor, regions: Regions) -> list[Reading] | list[Embedding]:
        """Return one reading or embedding per region of images (B, 3, H, W) in [-1, 1], in their order."""
        ...


@dataclass(frozen=True)
class JudgeFacts:
    """What stands beside every score of a judge.

    Args:
        tool: What reads or recognises, with its version.
        pipeline: What becomes of an image before the network sees it: crop, size, padding, normalisation.
        weights_sha256: Hash of its weights.
        language_model: Whether a reader knows which letters follow one another: such a one repairs broken glyphs as it
            reads. None where that is not known, or nothing is read.
        characters: What a reader can read; None where that is not known, or nothing is read.
    """

    tool: str = "not stated"
    pipeline: str = "not stated"
    weights_sha256: str = ""
    language_model: bool | None = None
    characters: frozenset[str] | None = None

    @classmethod
    def of(cls, judge: Judge) -> JudgeFacts:
        """Return what a judge says of itself; for what it does not say, that it is not stated."""
        said = {one.name: getattr(judge, one.name, None) for one in fields(cls)}
        return cls(**{name: value for name, value in said.items() if value is not None})

    def shown(self) -> dict[str, str | bool | None]:
        """Return all of it but the characters, as plain data."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "characters"}

"""The numbers of a report, computed from pictures and readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from regionloss.data.batches.batch import Batch
from regionloss.evaluation.metrics import (
    Interval,
    bootstrap,
    cosine,
    edit_similarity,
    exact,
    psnr,
    region_mask,
)
from regionloss.evaluation.report.data import Judged, ReportData
from regionloss.judges import Embedding, Judge, Reading


def judge_pictures(
    name: str,
    summary: str,
    images: Mapping[str, Tensor],
    test: Mapping[str, Batch],
    judges: Mapping[str, Judge],
    part: str = "",
) -> Judged:
    """Return pictures with what the judges make of their regions.

    Args:
        name: Name of the arm.
        summary: What the arm is, in some words.
        images: Reconstructions (N, 3, H, W) by test set; they are clipped to [-1, 1] here.
        test: The test sets with their regions.
        judges: Judges by region kind.
        part: Name of the part of the run.
    """
    clipped = {set_name: batch.detach().float().cpu().clamp(-1, 1) for set_name, batch in images.items()}
    readings: dict[str, list[Reading]] = {}
    embeddings: dict[str, Tensor] = {}
    for set_name, batch in test.items():
        for kind, judge in judges.items():
            regions = batch.regions.get(kind)
            if regions is None or not len(regions):
                continue
            verdicts = judge.judge(clipped[set_name], regions)
            if isinstance(verdicts[0], Embedding):
                embeddings[set_name] = torch.stack([v.vector for v in verdicts if isinstance(v, Embedding)])
            else:
                readings[set_name] = [v for v in verdicts if isinstance(v, Reading)]
    return Judged(name, summary, clipped, readings, embeddings, part)


@dataclass(frozen=True)
class Score:
    """One number of a row: by word, face or image, with the image that each belongs to."""

    values: tuple[float, ...]
    images: tuple[int, ...]

    @property
    def interval(self) -> Interval | None:
        """Mean and its 95% interval; None where there is nothing to average."""
        return bootstrap(self.values, self.images) if self.values else None

    def minus(self, other: Score) -> Interval | None:
        """Return the mean difference, paired, with its 95% interval; None where the two do not pair."""
        if self.images != other.images:
            return None
        pairs = zip(self.values, other.values, strict=True)
        return Score(tuple(a - b for a, b in pairs), self.images).interval


#: Confidence from which the judge's reading of an original counts as what stands there.
SURE = 0.8

COLUMNS = {
    "accuracy": ("Words read exactly", "%", "T-ACC: share of words that the judge reads exactly, capitals included"),
    "similarity": ("Letters right", "%", "T-NED: 1 - edit distance / length of the longer word, mean over words"),
    "face": ("Face similarity", "", "F-SIM: cosine of the judge's embeddings of original and reconstruction"),
    "psnr": ("PSNR", "dB", "of whole images, mean over images"),
    "psnr_inside": ("inside regions", "dB", "PSNR of pixels in regions"),
    "psnr_outside": ("outside", "dB", "PSNR of all other pixels: what the region terms must not cost"),
}


def truths(data: ReportData, set_name: str) -> dict[int, str]:
    """Return what stands in the text regions of a test set, by the region's number.

    Where nobody transcribed them, it is what the judge reads in the original, if it is sure: a detector also finds
    "words" in coffee cups.
    """
    texts = data.test[set_name].regions["text"].texts
    if texts is not None:
        return dict(enumerate(texts))
    readings = enumerate(data.original.readings.get(set_name, ()))
    return {i: reading.text for i, reading in readings if len(reading.text) > 1 and reading.score >= SURE}


def scores(data: ReportData, row: Judged, set_name: str) -> dict[str, Score]:
    """Return the scores of one row on one test set by column; columns that cannot be computed are absent."""
    found: dict[str, Score] = {}
    batch = data.test[set_name]
    if set_name in row.readings:
        known = truths(data, set_name)
        owners = tuple(batch.regions["text"].image_index[list(known)].tolist())
        pairs = [(row.readings[set_name][i].text, truth) for i, truth in known.items()]
        found["accuracy"] = Score(tuple(100 * exact(*pair) for pair in pairs), owners)
        found["similarity"] = Score(tuple(100 * edit_similarity(*pair) for pair in pairs), owners)
    if row is data.original:
        return found
    if set_name in row.embeddings:
        owners = tuple(batch.regions["face"].image_index.tolist())
        likeness = cosine(row.embeddings[set_name], data.original.embeddings[set_name])
        found["face"] = Score(tuple(likeness.tolist()), owners)
    return found | pixel_scores(data, row, set_name)


def pixel_scores(data: ReportData, row: Judged, set_name: str) -> dict[str, Score]:
    """Return PSNR of whole images, inside and outside the regions of all kinds."""
    target, image = data.original.images[set_name], row.images[set_name]
    mask = torch.zeros(len(target), 1, *target.shape[2:], dtype=torch.bool)
    for regions in data.test[set_name].regions.values():
        mask |= region_mask(regions, len(target))
    named = {
        "psnr": psnr(image, target),
        "psnr_inside": psnr(image, target, mask),
        "psnr_outside": psnr(image, target, ~mask),
    }
    return {name: by_image(values) for name, values in named.items()}


def by_image(values: Tensor) -> Score:
    """Return one value per image; equal images (infinite PSNR) and images without such pixels are left out."""
    kept = [(float(v), i) for i, v in enumerate(values) if bool(v.isfinite())]
    return Score(tuple(v for v, _ in kept), tuple(i for _, i in kept))

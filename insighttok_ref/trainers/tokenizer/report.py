"""What a run ends with: every tokenizer judged on images that were not trained on, as numbers and as a page."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from insighttok_ref.trainers.tokenizer.plan import Part
from regionloss.data.shards import write_whole
from regionloss.evaluation.report import Judged, JudgeName, ReportData, judge_pictures, scores, write_training_report

if TYPE_CHECKING:
    from insighttok_ref.tokenizers.base import Tokenizer
    from insighttok_ref.trainers.tokenizer.session import Session
    from regionloss.data.batches import Batch
    from regionloss.judges import Judge

SECONDS_A_WORD = 0.03  # of a judge on one core, for the time left


def report(
    session: Session,
    judges: Mapping[str, Judge],
    notes: Sequence[str],
) -> Path:
    """Judge every part of a finished run, write `results.json` and `report.html`, and return the page.

    Args:
        session: Whose parts are trained, and whose data hold the test images.
        judges: Judges by region kind; the pictures of kinds without one are shown, not scored.
        notes: Sentences for the reader.
    """
    began = time.monotonic()
    test, parts = session.data.test, session.parts
    left = afterwards(test, judges, len(parts) + 1)
    session.progress.stage("judging the originals", left)
    images = {name: batch.images for name, batch in test.items()}
    original = judge_pictures("original", "the test images themselves", images, test, judges)
    judged = []
    for number, part in enumerate(parts, 1):
        session.progress.stage(f"judging {part.name}", left * (1 - number / (len(parts) + 1)))
        judged.append(judged_part(session, part, judges))
    weights = {kind: judge.weights_sha256 for kind, judge in judges.items()}
    shown = page_data(session, original, judged, weights=weights, notes=notes, judging=time.monotonic() - began)
    write_results(shown, session.folder / "results.json")
    for line in table(shown):
        session.progress.say(line)
    return write_training_report(shown, session.folder)


def page_data(
    session: Session,
    original: Judged,
    judged: Sequence[Judged],
    *,
    weights: Mapping[str, str],
    notes: Sequence[str],
    judging: float,
) -> ReportData:
    """Return all that the page shows.

    Args:
        session: Whose parts were judged.
        original: The test images themselves.
        judged: Those of each part.
        weights: Hash (sha256) of the judge's weights, by region kind.
        notes: Sentences for the reader.
        judging: Seconds that it took.
    """
    arms = [row for row, part in zip(judged, session.parts, strict=True) if part.phase.arms] or list(judged[-1:])
    earlier = judged[: len(judged) - len(arms)]
    evaluation, recipe = session.trainer.evaluation, Path(session.run.loaded.source.name).stem
    return ReportData(
        title=f"{recipe}: {' against '.join(reversed([arm.name for arm in arms]))}",
        test=session.data.test,
        original=original,
        start=earlier[-1] if earlier else None,
        arms=arms,
        judges={kind: JudgeName(evaluation.judges[kind], sha256) for kind, sha256 in weights.items()},
        notes=tuple(notes),
        metrics=list(session.metrics.read()),
        command=command(session.run.loaded.source.name),
        resolved=session.resolved,
        seconds={**seconds(session), "judging": judging},
        credits=session.data.credits,
        crops=evaluation.crops,
    )


def judged_part(session: Session, part: Part, judges: Mapping[str, Judge]) -> Judged:
    """Return the test images as a part's tokenizer gives them back, judged."""
    model, test = session.tokenizer(part.name), session.data.test
    size = session.trainer.evaluation.batch_size
    images = {name: reconstructed(model, batch.images, size) for name, batch in test.items()}
    terms = " and ".join(part.terms) or "none"
    summary = f"{part.phase.steps} steps, region terms: {terms}"
    return judge_pictures(part.name.rpartition("/")[2], summary, images, test, judges, part.name)


@torch.no_grad()
def reconstructed(model: Tokenizer, images: Tensor, batch_size: int) -> Tensor:
    """Return images (N, 3, H, W) through encoder, codes and decoder."""
    device = model.last_layer.device
    return torch.cat([model(part.to(device)).reconstruction.cpu() for part in images.split(batch_size)])


def afterwards(test: Mapping[str, Batch], judges: Mapping[str, Judge], rows: int) -> float:
    """Return how many seconds judging is thought to take."""
    found = [batch.regions.get(kind) for batch in test.values() for kind in judges]
    return rows * SECONDS_A_WORD * sum(len(regions) for regions in found if regions is not None)


def seconds(session: Session) -> dict[str, float]:
    """Return how long each part trained, sittings before a stop included."""
    spent: dict[str, float] = {}
    for record in session.metrics.read():
        if "seconds" in record:
            spent[record["part"]] = record["seconds"]
    return {part.name: spent[part.name] for part in session.parts if part.name in spent}


def write_results(data: ReportData, path: Path) -> None:
    """Write the page's numbers: by test set and row, each with mean, 95% interval and count."""
    sets: dict[str, Any] = {}
    for name in data.test:
        for row in data.rows:
            found = {key: (score.interval, len(score.values)) for key, score in scores(data, row, name).items()}
            sets.setdefault(name, {})[row.name] = {
                key: {"mean": interval.mean, "low": interval.low, "high": interval.high, "count": count}
                for key, (interval, count) in found.items()
                if interval is not None
            }
    write_whole(str(path), (json.dumps({"test": sets, "seconds": data.seconds}, indent=1) + "\n").encode())


TOLD = {
    "accuracy": "words read {:.1f}%",
    "similarity": "letters right {:.1f}%",
    "psnr_inside": "PSNR inside regions {:.2f} dB",
    "psnr_outside": "outside {:.2f} dB",
}


def table(data: ReportData) -> list[str]:
    """Return the numbers of the first test set as lines for the console."""
    first = next(iter(data.test))
    lines = []
    for row in data.rows:
        means = {key: s.interval.mean for key, s in scores(data, row, first).items() if s.interval is not None}
        numbers = [text.format(means[key]) for key, text in TOLD.items() if key in means]
        lines.append(f"{row.name:>10}: {', '.join(numbers)}")
    return lines


def command(recipe: str) -> str:
    """Return what was typed; where Python code began the run, what would be typed."""
    if Path(sys.argv[0]).stem == "regionloss":
        return shlex.join(["regionloss", *sys.argv[1:]])
    return shlex.join(["regionloss", "train", recipe])

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

from insighttok_ref.trainers.tokenizer.held_out import SET, HeldOut, Pixels, Reconstructed
from insighttok_ref.trainers.tokenizer.options import EvaluationOptions
from insighttok_ref.trainers.tokenizer.plan import Part
from regionloss.data.shards import write_whole
from regionloss.evaluation import Evaluation, Results, Score, evaluate
from regionloss.evaluation.benchmarks import Benchmark, FaceBenchmark, TextBenchmark
from regionloss.evaluation.report import Curves, Origin, write_report

if TYPE_CHECKING:
    from insighttok_ref.tokenizers.base import Tokenizer
    from insighttok_ref.trainers.parts_run import PartsRun
    from insighttok_ref.trainers.tokenizer.tokenizer_session import TokenizerSession
    from regionloss.data.batches import Batch
    from regionloss.judges import Judge

SECONDS_A_WORD = 0.03  # of a judge on one core, for the time left
#: Measures by the names that results.json of a run has always had, and what they are multiplied with there.
KEYS = {
    "t_acc": ("accuracy", 100),
    "t_ned": ("similarity", 100),
    "f_sim": ("face", 1),
    "psnr": ("psnr", 1),
    "psnr_inside": ("psnr_inside", 1),
    "psnr_outside": ("psnr_outside", 1),
}


def report(session: TokenizerSession, judges: Mapping[str, Judge], notes: Sequence[str]) -> Path:
    """Judge every part of a finished run, write its results and `report.html`, and return the page.

    The results of each part lie in `results/NAME`, where `regionloss compare` finds them, too.

    Args:
        session: Whose parts are trained, and whose data hold the test images.
        judges: Judges by region kind; the pictures of kinds without one are shown, not scored.
        notes: Sentences for the reader.
    """
    began, parts = time.monotonic(), session.parts
    originals = HeldOut(session.data.test)
    left = afterwards(session.data.test, judges, len(parts))
    found = {}
    for number, part in enumerate(parts):
        session.progress.stage(f"judging {part.name}", left * (1 - number / len(parts)))
        found[part.name] = judged(session, part, originals, judges)
    spent = {**seconds(session), "judging": time.monotonic() - began}
    write_results(originals, list(found.values()), spent, session.folder / "results.json")
    for line in table(list(found.values())):
        session.progress.say(line)
    arms = [part.name for part in parts if part.phase.arms] or [parts[-1].name]
    earlier = [part.name for part in parts if part.name not in arms][-1:]
    recipe, shown = Path(session.run.loaded.source.name).stem, [found[name] for name in (*arms, *earlier)]
    return write_report(
        shown,
        session.folder / "report.html",
        title=f"{recipe}: {' against '.join(one.summary.name for one in reversed(shown[: len(arms)]))}",
        curves=Curves(list(session.metrics.read()), {name: name_of(name) for name in arms}, *earlier),
        origin=Origin(command(session.run.loaded.source.name), session.resolved, spent, session.data.credits),
        notes=notes,
    )


def judged(session: TokenizerSession, part: Part, originals: HeldOut, judges: Mapping[str, Judge]) -> Results:
    """Return the results of a part's tokenizer on the test images."""
    model, options = session.tokenizer(part.name), session.trainer.evaluation
    images, ids = {}, {}
    for name, batch in originals.test.items():
        images[name], ids[name] = reconstructed(model, batch.images, options.batch_size)
    facts = {"steps": part.phase.steps, "region_terms": " and ".join(part.terms) or "none"}
    made = Reconstructed(name_of(part.name), model.fingerprint, images, ids, model.codebook_size, facts)
    return evaluated(made, originals, judges, options, session.folder / "results" / part.name)


def evaluated(
    made: Reconstructed, originals: HeldOut, judges: Mapping[str, Judge], options: EvaluationOptions, folder: Path
) -> Results:
    """Return the results of one tokenizer or autoencoder, which are kept in a folder, too."""
    asked: list[Benchmark] = [
        benchmark({options.judges[kind]: judges[kind]})
        for kind, benchmark in (("text", TextBenchmark), ("face", FaceBenchmark))
        if kind in judges
    ]
    largest = max(max(batch.images.shape[2:]) for batch in originals.test.values())
    setting = next((side for side in (256, 512) if largest <= side), 1024)
    evaluation = Evaluation(originals, made, [*asked, Pixels([*judges])], folder, setting, crops=options.crops)
    return evaluate(evaluation, again=True)


def name_of(part: str) -> str:
    """Return the name of a part's tokenizer in tables."""
    return part.rpartition("/")[2]


@torch.no_grad()
def reconstructed(model: Tokenizer, images: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, H, W) through encoder, codes and decoder, and their ids (N, n)."""
    device = model.last_layer.device
    found = [model(part.to(device)) for part in images.split(batch_size)]
    return torch.cat([one.reconstruction.cpu() for one in found]), torch.cat([one.ids.cpu() for one in found])


def afterwards(test: Mapping[str, Batch], judges: Mapping[str, Judge], parts: int) -> float:
    """Return how many seconds judging is thought to take: each part's pictures, and each time the originals."""
    found = [batch.regions.get(kind) for batch in test.values() for kind in judges]
    return 2 * parts * SECONDS_A_WORD * sum(len(regions) for regions in found if regions is not None)


def seconds(session: PartsRun[Any, Any]) -> dict[str, float]:
    """Return how long each part trained, sittings before a stop included."""
    spent: dict[str, float] = {}
    for record in session.metrics.read():
        if "seconds" in record:
            spent[record["part"]] = record["seconds"]
    return {part.name: spent[part.name] for part in session.parts if part.name in spent}


def write_results(originals: HeldOut, results: Sequence[Results], spent: Mapping[str, float], path: Path) -> None:
    """Write the numbers of all parts: by test set and tokenizer, each with mean, 95% interval and count."""
    sets: dict[str, Any] = {}
    for name in originals.test:
        found = {one.summary.name: scores_of(one, name) for one in results}
        ceilings = {KEYS[key][0]: ceiling(score) for key, score in scores_of(results[0], name).items() if score.ceiling}
        sets[name] = {"original": ceilings} | {
            row: {KEYS[key][0]: numbers(score) for key, score in scores.items()} for row, scores in found.items()
        }
    write_whole(str(path), (json.dumps({"test": sets, "seconds": dict(spent)}, indent=1) + "\n").encode())


def scores_of(results: Results, name: str) -> dict[str, Score]:
    """Return the scores on one test set, by measure."""
    found = {key: results.summary.score(key, f"{SET}={name}") for key in KEYS}
    return {key: score for key, score in found.items() if score is not None}


def numbers(score: Score) -> dict[str, Any]:
    """Return a score as results.json of a run has it."""
    factor = KEYS[score.measure][1]
    low, high = (None if end is None else factor * end for end in (score.low, score.high))
    return {"mean": factor * score.value, "low": low, "high": high, "count": score.count}


def ceiling(score: Score) -> dict[str, Any]:
    """Return what the originals reach, as results.json of a run has it."""
    assert score.ceiling is not None
    return {"mean": KEYS[score.measure][1] * score.ceiling, "count": score.count}


TOLD = {
    "t_acc": "words read {:.1f}%",
    "t_ned": "letters right {:.1f}%",
    "psnr_inside": "PSNR inside regions {:.2f} dB",
    "psnr_outside": "outside {:.2f} dB",
}


def table(results: Sequence[Results]) -> list[str]:
    """Return the numbers of all test images as lines for the console."""
    lines = []
    for one in results:
        found = {key: one.summary.score(key) for key in TOLD}
        means = {key: KEYS[key][1] * score.value for key, score in found.items() if score is not None}
        told = ", ".join(text.format(means[key]) for key, text in TOLD.items() if key in means)
        lines.append(f"{one.summary.name:>10}: {told}")
    return lines


def command(recipe: str) -> str:
    """Return what was typed; where Python code began the run, what would be typed."""
    if Path(sys.argv[0]).stem == "regionloss":
        return shlex.join(["regionloss", *sys.argv[1:]])
    return shlex.join(["regionloss", "train", recipe])

"""What a run ends with: the proof that latents are kept, and regions before and after on images kept from training."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from insighttok_ref.trainers.finetune.session import RESULT, FinetuneSession, latents
from insighttok_ref.trainers.tokenizer.held_out import HeldOut, Reconstructed
from insighttok_ref.trainers.tokenizer.report import command, evaluated, seconds, table, write_results
from regionloss.autoencoders import TrainableAutoencoder
from regionloss.errors import InputError, expected
from regionloss.evaluation.report import Curves, Origin, write_report

if TYPE_CHECKING:
    from regionloss.evaluation import Results
    from regionloss.judges import Judge

#: Images whose latents are compared.
COMPARED = 100


def finish(session: FinetuneSession, judges: Mapping[str, Judge], notes: Sequence[str]) -> None:
    """Say whether latents are the same, report, and say where the result is; the first process calls it.

    Raises:
        InputError: Latents differ though the encoder was frozen.
    """
    before, after = session.open(session.trainer.source), session.open(session.folder / RESULT)
    told = compared(session, before, after)
    session.progress.say(told)
    if session.data.test:
        page = report(session, {"before": before, "after": after}, judges, [told, *session.data.notes, *notes])
        session.progress.say(f"report: {page}")
    session.progress.say(f"autoencoder: {session.folder} (the same files as in {session.folder / RESULT})")
    if session.trainer.model.adapter is not None:
        session.progress.say(f"it adds to {session.trainer.source}: keep that file where it is, or beside it")


def compared(session: FinetuneSession, before: TrainableAutoencoder, after: TrainableAutoencoder) -> str:
    """Return the sentence on latents of images of the run, before and after.

    Raises:
        InputError: They differ though nothing before the decoder learnt.
    """
    part = session.parts[0]
    batches, images, count = session.batches(part, session.shares[part.name]), [], 0
    for batch in islice(batches.starting_at(0), COMPARED):
        images.append(batch.images)
        count += len(batch)
        if count >= COMPARED:
            break
    pixels = torch.cat(images)[:COMPARED]
    size, repaired = session.trainer.evaluation.batch_size, session.trainer.model.adapter is not None
    pairs = zip(*(latents(one, pixels, size, ids=repaired) for one in (before, after)), strict=True)
    same = all(one.dtype == other.dtype and torch.equal(bits(one), bits(other)) for one, other in pairs)
    learnt = {"encoder", "quantizer"} & set(session.trainer.model.train)
    what = "ids" if repaired else "latents"
    if not same and not learnt:
        advice = "This is a mistake of ours: keep the run, and tell us."
        raise InputError(expected(what, "those of the original, bit for bit", "others", advice))
    counted = f"{len(pixels)} images, before and after, bit for bit"
    said = "yes" if same else f"no, since {' and '.join(sorted(learnt))} learnt"
    return f"{what} identical: {said} ({counted})"


def bits(values: Tensor) -> Tensor:
    """Return values as bytes, which tell -0 from 0."""
    return values.contiguous().flatten().view(torch.uint8)


def report(
    session: FinetuneSession,
    models: Mapping[str, TrainableAutoencoder],
    judges: Mapping[str, Judge],
    notes: Sequence[str],
) -> Path:
    """Judge the autoencoder before and after, write results and `report.html`, and return the page.

    Args:
        session: Whose part is trained, and whose data hold the test images.
        models: The autoencoder before and after.
        judges: Judges by region kind; kinds without one are shown, not scored.
        notes: Sentences for the reader.
    """
    began, part = time.monotonic(), session.parts[0]
    originals = HeldOut(session.data.test)
    there = {kind for batch in originals.test.values() for kind, found in batch.regions.items() if len(found)}
    asked = {kind: judge for kind, judge in judges.items() if kind in there}
    unseen = [f"No region of kind '{kind}' is on the test images: not judged." for kind in judges if kind not in there]
    for sentence in unseen:
        session.progress.say(sentence)
    found: list[Results] = []
    for name, model in models.items():
        session.progress.stage(f"judging {name}", 0.0)
        facts = {
            "steps": part.phase.steps if name == "after" else 0,
            "region_terms": " and ".join(part.terms) or "none",
        }
        made = reconstructed(name, model, originals, session.trainer.evaluation.batch_size, facts)
        folder = session.folder / "results" / name
        found.append(evaluated(made, originals, asked, session.trainer.evaluation, folder))
    spent = {**seconds(session), "judging": time.monotonic() - began}
    write_results(originals, found, spent, session.folder / "results.json")
    for line in table(found):
        session.progress.say(line)
    return write_report(
        found,
        session.folder / "report.html",
        title=f"{session.trainer.source.name}: before and after",
        curves=Curves(list(session.metrics.read()), {part.name: "after"}),
        origin=Origin(command(session.run.loaded.source.name), session.resolved, spent, ()),
        notes=[*notes, *unseen],
    )


def reconstructed(
    name: str, model: TrainableAutoencoder, originals: HeldOut, batch_size: int, facts: Mapping[str, object]
) -> Reconstructed:
    """Return what an autoencoder makes of the test images."""
    images: dict[str, Tensor] = {}
    ids: dict[str, Tensor] = {}
    for source, batch in originals.test.items():
        parts = [model.reconstruct(part) for part in batch.images.split(batch_size)]
        images[source] = torch.cat([part.images for part in parts])
        codes = [part.ids for part in parts if part.ids is not None]
        if codes:
            ids[source] = torch.cat(codes)
    return Reconstructed(name, model.weights_sha256, images, ids, model.codebook_size, facts)

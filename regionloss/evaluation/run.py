"""An evaluation: pairs examined in parts, each written whole, so that it can stop, go on and be shared anywhere.

A part depends on its own pairs alone; the scores are made from all parts in order. Hence results are the same bit for
bit however many processes worked on it, and wherever one of them was killed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regionloss.disk import guarded, whole
from regionloss.errors import InputError, expected, reason_of
from regionloss.evaluation.benchmarks.base import Benchmark, Gathered, Verdict, notes_of
from regionloss.evaluation.benchmarks.sizes import size_group
from regionloss.evaluation.crops import crop
from regionloss.evaluation.metrics import bits_per_pixel
from regionloss.evaluation.pairs import Original, Originals, Pair, Reconstructions
from regionloss.evaluation.parts import Facts, PartRows, gathered, read_facts, write_part
from regionloss.evaluation.results import (
    IMAGES,
    INSTANCES,
    RESULTS,
    Results,
    Score,
    Summary,
    owners_of,
    read_results,
    write_summary,
)
from regionloss.evaluation.scores import drawn_together, image_scores, instance_scores, mapped
from regionloss.evaluation.tables import PICTURES, chosen, image_schema, join_pictures, joined, write_table

PLAN, PARTS = "plan.json", "parts"
#: What each plan says. A folder with another file of that name is somebody else's, and nothing in it is removed.
OF_A_PLAN = {"originals", "reconstructions", "benchmarks", "setting", "part"}
#: What of a plan users know by more than its name.
SAID = {"originals": "originals (or their side-cars or columns)", "part": "size of parts (--part)"}
OTHER = "Choose another --out, or remove the file."
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is evaluated, how, and where its results go.

    Args:
        originals: Images to evaluate on.
        reconstructions: What is evaluated.
        benchmarks: What each pair is asked.
        folder: Folder of the results; made where it is missing.
        setting: Side by which size groups are told apart: 256, 512 or 1024 pixels.
        part: Number of pairs that are examined before they are written.
        crops: Number of instances of each kind whose crops are kept.
    """

    originals: Originals
    reconstructions: Reconstructions
    benchmarks: Sequence[Benchmark]
    folder: Path
    setting: int = 512
    part: int = 32
    crops: int = 2000

    @property
    def plan(self) -> dict[str, Any]:
        """What the parts are made of: those of another plan are not used."""
        return {
            "originals": self.originals.identity,
            "reconstructions": self.reconstructions.identity,
            "benchmarks": {one.name: dict(one.about) for one in self.benchmarks},
            "setting": self.setting,
            "part": self.part,
        }

    def prepare(self, again: bool = False) -> None:
        """Make the folder, or see that what is in it is of this evaluation. One process calls it, before all examine.

        Args:
            again: Whether to leave out what an earlier evaluation has left there.

        Raises:
            InputError: The folder holds another evaluation, or a plan of something else.
        """
        path, plan = self.folder / PLAN, json.loads(json.dumps(self.plan, default=str))
        known = read_plan(path) if path.is_file() else None
        if again and known is not None:
            shutil.rmtree(self.folder / PARTS, ignore_errors=True)
            (self.folder / RESULTS).unlink(missing_ok=True)
            path.unlink()
        elif known is not None:
            if differing := sorted(name for name in plan.keys() | known.keys() if plan.get(name) != known.get(name)):
                advice = "Choose another --out, or say --again to replace it."
                got = f"an evaluation of other {', '.join(SAID.get(name, name) for name in differing)}"
                raise InputError(expected(str(self.folder), "results of this evaluation", got, advice))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            temporary.write_text(json.dumps(plan, indent=1), encoding="utf-8")

    def examine(self, rank: int = 0, size: int = 1, tick: OnProgress = lambda done, of: None) -> None:
        """Examine the pairs that no part holds yet; of several processes, each its share.

        Args:
            rank: Number of this process, from 0.
            size: Number of processes.
            tick: Told how many of all images are done, of how many; counts those of this process alone.
        """
        keys = self.originals.names()
        mine = [number for number in range(len(self.parts(keys))) if number % size == rank]
        done, total = 0, sum(len(keys[number * self.part : (number + 1) * self.part]) for number in mine)
        for number in mine:
            own = keys[number * self.part : (number + 1) * self.part]
            place = self.parts(keys)[number]
            if not place.is_dir():
                self.write(place, own, tick, done, total)
            done += len(own)
            tick(done, total)

    def stopped(self) -> str:
        """Return what an evaluation that was stopped has, in a sentence."""
        keys = self.originals.names()
        done = sum(
            len(keys[number * self.part : (number + 1) * self.part])
            for number, place in enumerate(self.parts(keys))
            if place.is_dir()
        )
        return f"Stopped: {done} of {len(keys)} images done. The same command goes on from there."

    def parts(self, keys: Sequence[str]) -> list[Path]:
        """Return the folders of all parts, in order, those that are not there yet included."""
        count = -(-len(keys) // self.part)
        return [self.folder / PARTS / f"{number:06d}" for number in range(count)]

    def write(self, place: Path, keys: Sequence[str], tick: OnProgress, done: int, total: int) -> None:
        """Examine a part's pairs and write what they gave."""
        part = PartRows()
        for number, key in enumerate(keys):
            tick(done + number, total)
            part.images.append({"key": key})
            original = None
            try:
                original = self.originals.read(key)
                part.describe(original)
                pair = self.pair(original, part.facts)
            except InputError as error:
                part.lose(f"{error}" + (f" ({len(original.instances)} instances)" if original is not None else ""))
                continue
            for benchmark in self.benchmarks:
                answer = benchmark.examine(pair)
                part.add(benchmark.name, answer, [self.row(pair, benchmark.name, one) for one in answer.verdicts])
        write_part(place, part, image_schema(self.benchmarks))

    def pair(self, original: Original, facts: Facts) -> Pair:
        """Return an original with its reconstruction; count what it took, and its bits."""
        reconstruction = self.reconstructions.of(original)
        facts["seconds"] += reconstruction.seconds
        facts["images"] += 1
        if reconstruction.ids is not None and reconstruction.resolution is not None:
            facts["tokens"] += reconstruction.ids.numel()
            facts["pixels"] += reconstruction.resolution[0] * reconstruction.resolution[1]
        return Pair(original, reconstruction)

    def row(self, pair: Pair, benchmark: str, verdict: Verdict) -> dict[str, Any]:
        """Return the row of a verdict."""
        one = pair.original.instances[verdict.number]
        return {
            **{"key": pair.original.key, "number": verdict.number, "kind": one.kind, "box": one.box, "size": one.size},
            "group": size_group(one.kind, one.size, self.setting),
            "columns": {**pair.original.columns, **one.columns},
            **{"benchmark": benchmark, "judge": verdict.judge, "read": verdict.read, "original": verdict.original},
            **{
                "truth": verdict.truth,
                "truth_from": verdict.truth_from or None,
                "problem": verdict.problem or None,
                "values": verdict.values,
            },
            "target": crop(pair.original.image, one),
            "crop": crop(pair.reconstruction.image, one),
        }

    def finish(self, notes: Sequence[str] = ()) -> Results:
        """Write the results of all parts, which are there, and return them; the parts are removed.

        Args:
            notes: Sentences for the reader.

        Raises:
            InputError: There are no images.
        """
        parts = self.parts(self.originals.names())
        if not parts:
            raise InputError(expected(self.originals.name, "images to evaluate on", "none"))
        images, instances = joined(parts, IMAGES), joined(parts, INSTANCES, without=PICTURES)
        facts, problems = read_facts(parts)
        names = [name for one in self.benchmarks for name, m in one.measures.items() if m.per == "instance"]
        kept = chosen(instances, mapped(instances["values"]), names, self.crops)
        join_pictures(parts, INSTANCES, kept, self.folder / INSTANCES)
        write_table(images, self.folder / IMAGES)
        summary = Summary(
            self.reconstructions.name,
            self.originals.name,
            identity_of(images),
            int(facts["images"]),
            self.setting,
            scores=list(self.scores(parts, images, instances, facts)),
            measures={f"{one.name}/{n}": asdict(m) for one in self.benchmarks for n, m in one.measures.items()},
            about={one.name: dict(one.about) for one in self.benchmarks},
            problems=problems,
            facts=self.facts(facts),
            notes=[
                *notes,
                *drawn_together(owners_of(images)),
                *untranscribed(instances),
                *(note for one in self.benchmarks for note in notes_of(one, int(facts["images"]))),
            ],
        )
        write_summary(self.folder, summary)
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        return Results(self.folder, summary)

    def scores(self, parts: Sequence[Path], images: Any, instances: Any, facts: Mapping[str, float]) -> Iterator[Score]:
        """Yield the scores of all benchmarks."""
        owners = owners_of(images)
        for one in self.benchmarks:
            own = instances.filter(np.array([name == one.name for name in instances["benchmark"].to_pylist()], bool))
            yield from instance_scores(one.name, one.measures, own, owners)
            yield from image_scores(one.name, one.measures, images, owners)
            whole_set = Gathered(*gathered(parts, one.name), int(facts["images"]))
            for name, value in one.summary(whole_set).items():
                yield Score(one.name, name, float(value), count=whole_set.images)

    def facts(self, found: Mapping[str, float]) -> dict[str, Any]:
        """Return what else is known of the tokenizer: bits per pixel (eq. 16), number of codes, images a second."""
        size = self.reconstructions.codebook_size
        known: dict[str, Any] = dict(getattr(self.reconstructions, "facts", {}))
        if size is not None:
            known["codebook_size"] = size
            if found.get("pixels"):
                known["bpp"] = bits_per_pixel(found["tokens"], size, found["pixels"])
                known["tokens"] = found["tokens"] / found["images"]
        if found.get("seconds"):
            known["images_per_second"] = found["images"] / found["seconds"]
        return known


def evaluate(evaluation: Evaluation, *, again: bool = False, tick: OnProgress = lambda done, of: None) -> Results:
    """Run an evaluation in this process alone, from where it was stopped, and return its results.

    Args:
        evaluation: What to run.
        again: Whether to leave out what an earlier one has left in its folder.
        tick: Told how many images are done, of how many.

    Raises:
        InputError: The folder holds another evaluation, or one is at work there.
    """
    with guarded(evaluation.folder, "evaluation"):
        evaluation.prepare(again)
        if not (evaluation.folder / RESULTS).is_file():
            evaluation.examine(tick=tick)
            return evaluation.finish()
        return read_results(evaluation.folder)


def untranscribed(instances: Any) -> list[str]:
    """Return a sentence on the texts whose truth is a judge's own reading of the original, where there are such."""
    sources = instances["truth_from"].to_pylist()
    own, every = sources.count("judge"), sum(map(bool, sources))
    said = f"{own} of {every} readings are compared with what the judge reads in the original: nobody transcribed them"
    advice = " (their group is 'truth=transcription')" if own < every else ""
    return [f"{said}. What the originals reach is known of transcribed ones alone{advice}."] if own else []


def identity_of(images: Any) -> str:
    """Return a hash of all originals that could be read, with their names."""
    rows = zip(images["key"].to_pylist(), images["mark"].to_pylist(), strict=True)
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()


def read_plan(path: Path) -> dict[str, Any]:
    """Return the plan in a folder. Raises InputError where it cannot be read, or is of something else."""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(expected(str(path), "the plan of an evaluation", reason_of(error), OTHER)) from error
    if missing := sorted(OF_A_PLAN - found.keys()):
        got = f"a file without {', '.join(missing)}"
        raise InputError(expected(str(path), "the plan of an evaluation", got, OTHER))
    return found

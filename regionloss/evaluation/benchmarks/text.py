"""Text that is still read: T-ACC and T-NED by every reader, and what each reads in the originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from regionloss.errors import InputError, expected
from regionloss.evaluation.benchmarks.base import Measure, Verdict
from regionloss.evaluation.benchmarks.instances import Ask, JudgedBenchmark, answers, box_problem
from regionloss.evaluation.metrics.texts import edit_similarity, exact
from regionloss.evaluation.pairs.pair import Instance, Pair, regions_of
from regionloss.judges import SURE, Judge, Reading


class TextBenchmark(JudgedBenchmark):
    """Reads every text in original and reconstruction, with several readers side by side.

    A reading is compared with the transcription; where nobody made one, with what the same judge reads in the original,
    if it is sure (`Verdict.truth_from` says which). What cannot be judged is a verdict with a problem.

    Args:
        judges: Readers by the name that tables show.
        batches: Transcriptions of the batch that TokBench's script reads a text in, by image and number
            (`TokBench.batches`): readers whose answer depends on it there (`judge_in_batches`) give that answer. With
            None no reading depends on another text.

    Raises:
        InputError: No judge, one of another kind of region, or batches and no judge that asks for them.

    Source: InsightTok, section 4; TokBench (T-ACC, T-NED).
    """

    name = kind = "text"
    measures: Mapping[str, Measure] = {
        "t_acc": Measure("T-ACC", "%", hint="Share of texts that the judge reads exactly, capitals included."),
        "t_ned": Measure("T-NED", "%", hint="1 - edit distance / length of the longer text, mean over texts."),
    }

    def __init__(
        self, judges: Mapping[str, Judge], batches: Mapping[tuple[str, int], tuple[str, ...]] | None = None
    ) -> None:
        super().__init__(judges)
        self.batches = batches
        self.batched = {
            name for name, one in judges.items() if batches is not None and hasattr(one, "judge_in_batches")
        }
        if batches is not None and not self.batched:
            got = ", ".join(judges)
            raise InputError(expected("--official-batching", "a judge that reads in batches, text/parseq", got))
        self.about: Mapping[str, object] = {
            "judges": {name: facts.shown() for name, facts in self.facts.items()},
            "truth": f"the transcription, else what the judge reads in the original, from a confidence of {SURE:g}",
            "edit distance": f"rapidfuzz {version('rapidfuzz')}",
            "batches": dict.fromkeys(sorted(self.batched), "as TokBench's script, 64 in the order of the annotations"),
        }

    def verdicts(self, judge: str, pair: Pair, numbers: Sequence[int]) -> list[Verdict]:
        """Return the verdicts of one judge on these texts."""
        instances = pair.original.instances
        size = (pair.target.shape[2], pair.target.shape[3])
        found = {n: Verdict(n, judge, problem=box_problem(instances[n], size)) for n in numbers}
        good = [n for n in numbers if not found[n].problem]
        if good:
            regions = regions_of([instances[n] for n in good], "text", size)
            said = answers(judge, self._ask(judge, pair.original.key, good), (pair.target, pair.output), regions)
            found |= {n: self._verdict(n, judge, instances[n], *both) for n, both in zip(good, said, strict=True)}
        return [found[n] for n in numbers]

    def _ask(self, name: str, key: str, numbers: Sequence[int]) -> Ask:
        judge: Any = self.judges[name]
        if name not in self.batched or self.batches is None:
            return judge.judge  # type: ignore[no-any-return]  # of a protocol
        return partial(judge.judge_in_batches, batches=[self.batches.get((key, n), ()) for n in numbers])

    def _verdict(self, number: int, name: str, instance: Instance, original: Reading, read: Reading) -> Verdict:
        truth, source = (instance.text, "transcription") if instance.text else (original.text, "judge")
        characters = self.facts[name].characters
        problem = original.problem or read.problem
        if not problem and source == "judge" and not sure(original):
            problem = f"no transcription, and {name} is not sure of the original: {original.text!r}"
        if not problem and characters is not None and (foreign := sorted(set(truth) - characters)):
            problem = f"characters that {name} cannot read: {' '.join(foreign)} in {truth!r}"
        if problem:
            return Verdict(number, name, read=read.text, original=original.text, truth=instance.text, problem=problem)
        values = {"t_acc": exact(read.text, truth), "t_ned": edit_similarity(read.text, truth)}
        if source == "transcription":  # else the originals would reach all by definition
            values["original/t_acc"] = exact(original.text, truth)
            values["original/t_ned"] = edit_similarity(original.text, truth)
        return Verdict(number, name, values, read.text, original.text, truth, truth_from=source)


def sure(reading: Reading) -> bool:
    """Return whether a reading of an original counts as what stands there: a detector finds "words" in coffee cups."""
    return len(reading.text) > 1 and reading.score >= SURE

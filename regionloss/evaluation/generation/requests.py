"""Words that a generator was asked to write: how many are read in its images, and how many would be by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean

from regionloss.evaluation.benchmarks import Measure, TextBenchmark, Verdict
from regionloss.evaluation.metrics.texts import edit_similarity, exact
from regionloss.evaluation.pairs import Pair
from regionloss.judges import Judge


class AskedTextBenchmark(TextBenchmark):
    """Reads what a generator wrote, as `TextBenchmark` does, and compares it with every word that was asked for, too.

    The mean over these is what images would reach that are shuffled among the prompts. As originals it takes what the
    tokenizer alone makes of drawn words: the ceiling of any generator of its tokens.

    Args:
        judges: Readers by the name that tables show.
        asked: The texts that all images of the evaluation were asked for, one an image.

    Raises:
        InputError: No judge, or one of another kind of region.
    """

    measures: Mapping[str, Measure] = {
        **TextBenchmark.measures,
        "chance_acc": Measure(
            "by chance", "%", hint="T-ACC of the same images, shuffled among all that was asked for."
        ),
        "chance_ned": Measure("T-NED by chance", "%", hint="T-NED of the same images, shuffled."),
    }

    def __init__(self, judges: Mapping[str, Judge], asked: Sequence[str]) -> None:
        super().__init__(judges)
        self.asked = asked
        self.about = {**self.about, "chance": f"mean over the {len(asked)} texts that were asked for"}

    def verdicts(self, judge: str, pair: Pair, numbers: Sequence[int]) -> list[Verdict]:
        """Return the verdicts of one judge on these texts."""
        return [self.with_chance(one) for one in super().verdicts(judge, pair, numbers)]

    def with_chance(self, verdict: Verdict) -> Verdict:
        """Return a verdict with what another prompt's image would have reached; one without values as it is."""
        if not verdict.values or verdict.read is None:
            return verdict
        read = verdict.read
        chance = {
            "chance_acc": mean(exact(read, text) for text in self.asked),
            "chance_ned": mean(edit_similarity(read, text) for text in self.asked),
        }
        return replace(verdict, values={**verdict.values, **chance})

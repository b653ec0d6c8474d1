"""Documents that still say the same: edit distance between what a judge reads in original and reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import torch

from regionloss.errors import InputError, expected
from regionloss.evaluation.benchmarks.base import Examined, Gathered, Measure
from regionloss.evaluation.benchmarks.instances import answers, check_judges
from regionloss.evaluation.metrics.texts import edit_similarity
from regionloss.evaluation.pairs.pair import Pair
from regionloss.judges import Judge, JudgeFacts
from regionloss.regions.regions import Regions


class DocumentBenchmark:
    """Reads whole images. No transcription is needed: the truth is what the judge reads in the original.

    An original in which nothing is read is left out, and counted.

    Args:
        judges: The one judge of documents, by the name that tables show.

    Raises:
        InputError: No judge of documents, or several.

    Source: OmniDoc-TokenBench (NED).
    """

    name = "documents"
    measures: Mapping[str, Measure] = {
        "d_ned": Measure(
            "NED",
            "%",
            hint="1 - edit distance / length of the longer text, of what is read in original and reconstruction.",
            per="image",
        )
    }

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        check_judges("suite documents", judges, "document")
        if len(judges) > 1:
            raise InputError(expected("suite documents", "one judge", ", ".join(judges)))
        ((self.judge_name, self.judge),) = judges.items()
        self.about: Mapping[str, object] = {
            "judges": {self.judge_name: JudgeFacts.of(self.judge).shown()},
            "truth": "what the judge reads in the original",
            "edit distance": f"rapidfuzz {version('rapidfuzz')}",
        }

    def examine(self, pair: Pair) -> Examined:
        """Return how alike the two readings are; a problem where nothing is read in the original."""
        height, width = pair.target.shape[2:]
        whole = Regions.single("document", torch.tensor([[0.0, 0.0, width, height]]), (height, width))
        ((original, read),) = answers(self.judge_name, self.judge.judge, (pair.target, pair.output), whole)
        if problem := original.problem or read.problem:
            return Examined(problems=[f"{problem} ({pair.original.key})"])
        if not original.text:
            return Examined(problems=[f"originals in which nothing is read: {pair.original.key}"])
        return Examined({"d_ned": edit_similarity(read.text, original.text)})

    def summary(self, gathered: Gathered) -> Mapping[str, float]:
        """Return no measures: there are none of the whole set."""
        return {}

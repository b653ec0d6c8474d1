"""Names of suites -> benchmarks with their judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from regionloss.errors import InputError, did_you_mean, expected
from regionloss.evaluation.benchmarks import Benchmark, DocumentBenchmark, FaceBenchmark, TextBenchmark
from regionloss.evaluation.networks import build_general
from regionloss.hooks.catalogue import Catalogue, catalogue
from regionloss.judges import Judge


@dataclass(frozen=True, eq=False)
class Resources:
    """What benchmarks are made with.

    Args:
        judges: Judges by the name that tables show, of all kinds of regions.
        device: Where networks that are no judges compute.
        codebook_size: Number of codes of what is evaluated; None where it has none.
        batches: Batches of TokBench's script, for `--official-batching`; see `TextBenchmark`.
        lpips: Names of backbones in which LPIPS is measured; None takes those that are here.
        frechet: Names of networks in whose features sets are compared; None takes the packaged one.
        inception: File of Inception-v3's weights, for rFID; None takes the registered one, where it is here.
        where: Catalogue of the components; None takes that of the installed plugins.
        notes: Sentences on what could not be had, which making the benchmarks adds.
    """

    judges: Mapping[str, Judge] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    codebook_size: int | None = None
    batches: Mapping[tuple[str, int], tuple[str, ...]] | None = None
    lpips: Sequence[str] | None = None
    frechet: Sequence[str] | None = None
    inception: Path | None = None
    where: Catalogue | None = None
    notes: list[str] = field(default_factory=list)

    def of(self, kind: str) -> dict[str, Judge]:
        """Return the judges of a kind of region."""
        return {name: judge for name, judge in self.judges.items() if judge.kind == kind}


SUITES: Mapping[str, Callable[[Resources], Benchmark]] = {
    "text": lambda resources: TextBenchmark(resources.of("text"), resources.batches),
    "face": lambda resources: FaceBenchmark(resources.of("face")),
    "documents": lambda resources: DocumentBenchmark(resources.of("document")),
    "general": lambda resources: general(resources),
}


def general(resources: Resources) -> Benchmark:
    """Return the suite of general quality, with the networks that are here."""
    found, notes = build_general(
        resources.where or catalogue(),
        lpips=resources.lpips,
        frechet=resources.frechet,
        inception=resources.inception,
        codebook_size=resources.codebook_size,
        device=resources.device,
    )
    resources.notes.extend(notes)
    return found


def benchmarks_of(names: Sequence[str], resources: Resources) -> list[Benchmark]:
    """Return the benchmarks that names of suites stand for.

    Args:
        names: Names of suites, each once.
        resources: What they are made with.

    Raises:
        InputError: No names, an unknown one, one that is there twice, or one whose judge is not there.
    """
    if not names or len(set(names)) < len(names):
        wanted = f"names with commas of {', '.join(SUITES)}"
        raise InputError(expected("--suite", wanted, ",".join(names) or "none"))
    for name in names:
        if name not in SUITES:
            raise InputError(f"--suite: no suite is named '{name}'. {did_you_mean(name, SUITES)}")
    return [SUITES[name](resources) for name in names]

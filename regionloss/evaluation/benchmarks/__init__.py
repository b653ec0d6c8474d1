"""Benchmarks, one a file over a common base: what a pair is asked, and how its answers add up."""

from regionloss.evaluation.benchmarks.base import Benchmark, Examined, Gathered, Measure, Verdict
from regionloss.evaluation.benchmarks.documents import DocumentBenchmark
from regionloss.evaluation.benchmarks.face import FaceBenchmark
from regionloss.evaluation.benchmarks.general import General
from regionloss.evaluation.benchmarks.text import TextBenchmark

__all__ = [
    "Benchmark",
    "DocumentBenchmark",
    "Examined",
    "FaceBenchmark",
    "Gathered",
    "General",
    "Measure",
    "TextBenchmark",
    "Verdict",
]

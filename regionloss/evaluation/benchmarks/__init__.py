"""Benchmarks, one a file over a common base: what a pair is asked, and how its answers add up."""

from regionloss.evaluation.benchmarks.base import Benchmark, Examined, Gathered, Measure, Verdict
from regionloss.evaluation.benchmarks.general import General

__all__ = [
    "Benchmark",
    "Examined",
    "Gathered",
    "General",
    "Measure",
    "Verdict",
]

"""Measures of what was read: exact words, edit distance."""

from __future__ import annotations


def exact(read: str, truth: str) -> float:
    """Return 1 where a word was read exactly, capitals included, else 0; T-ACC is its mean.

    Source: InsightTok, section 4 (TokBench's T-ACC).
    """
    return float(read == truth)


def levenshtein(first: str, second: str) -> int:
    """Return the least number of insertions, deletions and substitutions that turn one text into the other."""
    # Late: of the measures this one alone needs the package (the extra `ref`).
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(first, second)


def edit_similarity(read: str, truth: str) -> float:
    """Return `1 - levenshtein / max(len)`, 1 for two empty texts; T-NED is its mean.

    Source: InsightTok, section 4 (TokBench's T-NED).
    """
    longest = max(len(read), len(truth))
    return 1.0 - levenshtein(read, truth) / longest if longest else 1.0

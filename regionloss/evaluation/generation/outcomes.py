"""Results that the programs of benchmarks have written, and what is read in generated images."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regionloss.errors import InputError, expected, reason_of
from regionloss.evaluation.generation.prompts import read_lines, text_of, together
from regionloss.evaluation.metrics.texts import edit_similarity

#: `  entity: 88.1`, in the summary of DPG-Bench.
SCORE = re.compile(r"\s+(.+): ([-+.\deE]+|nan)\s*")


@dataclass(frozen=True)
class PromptOutcome:
    """How a generator did.

    Args:
        score: The benchmark's own number, from 0 to 1.
        groups: The same by group, in the order of the file.
        images: How many images it is about.
        prompts: Share of prompts of which one image at least is right; None where that is not known.
    """

    score: float
    groups: Mapping[str, float]
    images: int
    prompts: float | None = None


def read_geneval_results(path: Path) -> PromptOutcome:
    """Return what GenEval's program found: the mean of the means of its tasks.

    Raises:
        InputError: It is no such file.
    """
    tasks: dict[str, list[bool]] = {}
    prompts: dict[str, bool] = {}
    for one in read_lines(path):
        correct = one.get("correct")
        if not isinstance(correct, bool):
            raise InputError(expected(str(path), "true or false as 'correct' in each line", repr(correct)[:60]))
        tasks.setdefault(text_of(path, one, "tag"), []).append(correct)
        metadata = one.get("metadata", one.get("prompt"))
        prompt = metadata if isinstance(metadata, str) else json.dumps(metadata, sort_keys=True)
        prompts[prompt] = prompts.get(prompt, False) or correct
    groups = {tag: sum(found) / len(found) for tag, found in tasks.items()}
    images = sum(map(len, tasks.values()))
    return PromptOutcome(sum(groups.values()) / len(groups), groups, images, sum(prompts.values()) / len(prompts))


def read_dpg_results(path: Path) -> PromptOutcome:
    """Return what DPG-Bench's program found: the mean over images; groups are its broad categories.

    Raises:
        InputError: It is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(expected(str(path), "results of DPG-Bench", reason_of(error))) from error
    end = next((number for number, line in enumerate(lines) if line.startswith("Model: ")), len(lines))
    scores = [score for line in lines[:end] if (score := last_number(line)) is not None]
    if not scores:
        wanted = "lines of an image's path, its scores and their mean, as DPG-Bench writes them"
        raise InputError(expected(str(path), wanted, "none"))
    groups: dict[str, float] = {}
    broad = False
    for line in lines[end:]:
        broad = line.startswith("L1") if not line[:1].isspace() else broad
        if broad and (found := SCORE.fullmatch(line)) and math.isfinite(value := float(found[2])):
            groups[found[1]] = value / 100
    return PromptOutcome(sum(scores) / len(scores), groups, len(scores))


def read_long_text_results(path: Path) -> PromptOutcome:
    """Return what LongText-Bench's program found: the share of all words (in Chinese, of signs) that were read.

    Args:
        path: Its `results.jsonl`, with what it counted in each image.

    Raises:
        InputError: It is no such file.
    """
    counts = [(one.get("match_word_count"), one.get("gt_word_count")) for one in read_lines(path)]
    found = [(read, shown) for read, shown in counts if type(read) is int and type(shown) is int and 0 <= read <= shown]
    if len(found) < len(counts):
        advice = "Give the results.jsonl that its summary_scores.py writes."
        got = str(next(one for one in counts if one not in found))
        wanted = "'match_word_count', not above 'gt_word_count', in each line"
        raise InputError(expected(str(path), wanted, got, advice))
    words = sum(shown for _, shown in found)
    if not words:
        raise InputError(expected(str(path), "words that images were to show", "none"))
    return PromptOutcome(sum(read for read, _ in found) / words, {}, len(found))


def last_number(line: str) -> float | None:
    """Return the number at the end of a line of several; None for other lines."""
    parts = line.rsplit(", ", 2)
    try:
        numbers = [float(part) for part in parts[1:]]
    except ValueError:
        return None
    return numbers[-1] if len(numbers) == 2 and all(map(math.isfinite, numbers)) else None


def long_text_ned(read: str, words: Sequence[str]) -> float:
    """Return `1 - edit distance / length` of what was read in an image and what it was to show, line breaks aside.

    Args:
        read: What a judge of documents read.
        words: Texts that the image was to show, in the order of the prompt.
    """
    return edit_similarity(together([read]), together(words))

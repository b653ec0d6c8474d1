"""What generators are asked for and how they did: prompts and results of GenEval, DPG-Bench and LongText-Bench."""

from regionloss.evaluation.generation.asked import AskedTextBenchmark
from regionloss.evaluation.generation.outcomes import (
    PromptOutcome,
    long_text_ned,
    read_dpg_results,
    read_geneval_results,
    read_long_text_results,
)
from regionloss.evaluation.generation.prompts import Prompt, read_dpg, read_geneval, read_long_text

__all__ = [
    "AskedTextBenchmark",
    "Prompt",
    "PromptOutcome",
    "long_text_ned",
    "read_dpg",
    "read_dpg_results",
    "read_geneval",
    "read_geneval_results",
    "read_long_text",
    "read_long_text_results",
]

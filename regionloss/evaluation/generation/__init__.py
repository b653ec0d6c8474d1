"""What generators are asked for and how they did: the paper's prompts; GenEval's, DPG-Bench's, LongText-Bench's."""

from regionloss.evaluation.generation.outcomes import (
    PromptOutcome,
    long_text_ned,
    read_dpg_results,
    read_geneval_results,
    read_long_text_results,
)
from regionloss.evaluation.generation.prompts import Prompt, read_dpg, read_geneval, read_long_text
from regionloss.evaluation.generation.requests import AskedTextBenchmark
from regionloss.evaluation.generation.sets import SETS, crowds, prompt_set, read_quotes

__all__ = [
    "SETS",
    "AskedTextBenchmark",
    "Prompt",
    "PromptOutcome",
    "crowds",
    "long_text_ned",
    "prompt_set",
    "read_dpg",
    "read_dpg_results",
    "read_geneval",
    "read_geneval_results",
    "read_long_text",
    "read_long_text_results",
    "read_quotes",
]

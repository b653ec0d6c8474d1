"""What reconstructions are worth: text that is still read, faces that are still recognised, pixels."""

from regionloss.evaluation.judges import build_judges, judges_of, trained_against
from regionloss.evaluation.metrics import psnr, region_mask
from regionloss.evaluation.networks import build_general
from regionloss.evaluation.results import Problem, Results, Score, Summary, read_results, write_summary
from regionloss.evaluation.run import Evaluation, evaluate

__all__ = [
    "Evaluation",
    "Problem",
    "Results",
    "Score",
    "Summary",
    "build_general",
    "build_judges",
    "evaluate",
    "judges_of",
    "psnr",
    "read_results",
    "region_mask",
    "trained_against",
    "write_summary",
]

"""The report: one page that needs nothing but a browser, with every instance to look at."""

from regionloss.evaluation.report.curves import STYLE, Curves
from regionloss.evaluation.report.data import Judged, JudgeName, ReportData
from regionloss.evaluation.report.earlier import write_training_report
from regionloss.evaluation.report.page import Origin, write_report
from regionloss.evaluation.report.scores import judge_pictures, scores

__all__ = [
    "STYLE",
    "Curves",
    "JudgeName",
    "Judged",
    "Origin",
    "ReportData",
    "judge_pictures",
    "scores",
    "write_report",
    "write_training_report",
]

"""The report of a run: one page that needs nothing but a browser."""

from regionloss.evaluation.report.curves import STYLE
from regionloss.evaluation.report.data import Judged, JudgeName, ReportData
from regionloss.evaluation.report.page import write_report
from regionloss.evaluation.report.scores import judge_pictures, scores

__all__ = [
    "STYLE",
    "JudgeName",
    "Judged",
    "ReportData",
    "judge_pictures",
    "scores",
    "write_report",
]

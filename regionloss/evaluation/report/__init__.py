"""The report of a run: one page that needs nothing but a browser."""

from regionloss.evaluation.report.data import Judged, JudgeName, ReportData
from regionloss.evaluation.report.page import write_report
from regionloss.evaluation.report.scores import judge_pictures

__all__ = ["JudgeName", "Judged", "ReportData", "judge_pictures", "write_report"]

"""The report of a run: one page that needs nothing but a browser."""

from .data import Judged, JudgeName, ReportData
from .page import write_report
from .scores import judge_pictures

__all__ = ["JudgeName", "Judged", "ReportData", "judge_pictures", "write_report"]

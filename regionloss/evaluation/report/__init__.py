"""The report: one page that needs nothing but a browser, with every instance to look at."""

from regionloss.evaluation.report.curves import STYLE, Curves
from regionloss.evaluation.report.page import Origin, write_report

__all__ = [
    "STYLE",
    "Curves",
    "Origin",
    "write_report",
]

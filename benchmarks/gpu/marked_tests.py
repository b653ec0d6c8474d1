"""The tests that need a GPU, and are skipped everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu.setting import Setting

ROOT = Path(__file__).parents[2]
MARK = "mark." + "gpu"


class Recorder:
    """Writes a row for each test.

    Args:
        setting: Takes the rows.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that has run, or did not come to it."""
        if report.when == "call" or not report.passed:
            row = {"name": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
            lines = report.longreprtext.strip().splitlines() if report.failed else []
            self.setting.write({**row, "error": lines[-1]} if lines else row)


def marked_files() -> list[Path]:
    """Return the test files that have such tests: to collect all files takes longer than to run these."""
    files = sorted(file for top in ("tests", "plugins") for file in (ROOT / top).rglob("test_*.py"))
    return [file for file in files if MARK in file.read_text(encoding="utf-8")]


def run_tests(setting: Setting) -> None:
    """Run the marked tests; those that fail are in the table."""
    arguments = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    pytest.main([*arguments, *map(str, marked_files())], plugins=[Recorder(setting)])

"""A run that torch's profiler watches for some steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.insighttok_ref.trainers.tokenizer.phases import OPTIONS, assert_same, prepare, train


def test_a_run_is_watched_and_its_numbers_stay(
    tmp_path: Path, trained_phases: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the first phase's last step to the second one's first, in a run without a warning."""
    train(prepare(tmp_path, OPTIONS + "log.profile={from: 5, steps: 2}"))
    assert_same(trained_phases, tmp_path)
    table = (tmp_path / "profile" / "steps-00000005-00000006.txt").read_text()
    assert "aten::mkldnn_convolution" in table or "aten::convolution" in table
    assert "profile of steps 5 to 6" in "".join(capfd.readouterr())

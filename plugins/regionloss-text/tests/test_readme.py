"""What the README shows runs."""

from __future__ import annotations

from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.weights
def test_the_example_runs(weights) -> None:
    weights("english-g2")
    block = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(block, names)
    assert names["reconstruction"].grad.isfinite().all()

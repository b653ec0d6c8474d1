from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on `sys.path`, for distributions."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REGIONLOSS_PLUGINS", raising=False)
    return tmp_path

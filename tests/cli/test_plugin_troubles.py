"""A broken, a misspelled, a clashing and a slow plugin: a sentence each, from every command, and the rest goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disk_plugins import HEALTHY, write_distribution

SLOW = "import time\ntime.sleep(0.6)\n"
MISSPELLED = HEALTHY.replace("def register_distances", "def register_distance")
#: What each says, on the error stream.
SENTENCES = {
    "broken": "plugin 'broken' (regionloss-broken 1.0) is broken: RuntimeError: no luck.",
    "misspelled": "'register_distance' is not a hook. Did you mean 'register_distances'?",
    "same": "plugin 'same' comes from two distributions: first-one 1.0 and second-one 1.0.",
    "slow": "plugin 'slow' (regionloss-slow 1.0) is slow: loading its hooks took 0.",
    "heavy": "plugin 'heavy' (regionloss-heavy 1.0) is slow: loading its hooks took",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one plugin of each kind of trouble, and a healthy one."""
    write_distribution(tmp_path, "broken", "raise RuntimeError('no luck')")
    write_distribution(tmp_path, "misspelled", MISSPELLED)
    for name in ("first-one", "second-one"):
        write_distribution(tmp_path, "same", name=name)
    write_distribution(tmp_path, "slow", SLOW + HEALTHY)
    # Its own `torch`, which stands for the real one: the sentence is about the name in `sys.modules`.
    write_distribution(tmp_path, "heavy", "import torch\n" + HEALTHY)
    (tmp_path / "torch.py").write_text("")
    write_distribution(tmp_path, "healthy")
    return tmp_path


@pytest.mark.parametrize("words", [("plugins",), ("components", "distance"), ("weights", "list")])
def test_each_has_its_sentence_and_everything_else_goes_on(site: Path, words: tuple[str, ...]) -> None:
    variables = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    variables["REGIONLOSS_PLUGINS"] = ",".join([*SENTENCES, "healthy"])
    result = subprocess.run([sys.executable, "-m", "regionloss", *words], env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(result.stderr.splitlines()) == len(SENTENCES), result.stderr
    for sentence in SENTENCES.values():
        assert f"warning: {sentence}" in result.stderr or sentence in result.stderr
    assert "s, and imported torch. Import what is heavy in the modules that its targets name" in result.stderr
    if words == ("plugins",):
        rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
        assert " ok " in rows["healthy"]
        assert " slow " in rows["slow"]
        assert "1 distance" in rows["slow"]
        assert " broken " in rows["misspelled"]
    if words[0] == "components":
        assert "healthy/plain" in result.stdout
        assert "slow/plain" in result.stdout
        assert "misspelled/plain" not in result.stdout

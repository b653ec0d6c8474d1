"""What importing brings: no torch before it is used, and every public name, documented."""

from __future__ import annotations

import subprocess
import sys


def test_the_door_to_runs_imports_no_torch() -> None:
    program = "import sys; from regionloss.runs import is_first_process; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.split() == ["False"], result.stderr


def test_importing_regionloss_imports_no_torch() -> None:
    program = "import regionloss, sys; print(regionloss.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.split()[1:] == ["False", "False"], result.stderr


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    import regionloss

    assert set(regionloss.__all__) <= set(dir(regionloss))
    for name in regionloss.__all__:
        assert getattr(regionloss, name).__doc__, name

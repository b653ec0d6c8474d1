"""What this machine lacks is not the images' fault: real processes that cannot live, and files that kill one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shards import PLUGIN, drawn, encoded, random_shard, tar_of
from test_annotator import annotate

from regionloss.data.annotate import annotator as stage
from regionloss.data.shards.source import OpenShard, open_source

COMMAND = f"""
from regionloss.cli.main import app
app(["annotate", *sys.argv[1:], "--detectors", "red", "--plugin", {PLUGIN!r}, "--device", "cpu"])
"""
GUARDED = "if __name__ == '__main__':" + COMMAND.replace("\n", "\n    ")
#: Runs in the decoding processes too, which import the script: a format whose decoder ends as the file says.
KILLER = """
import os, sys
from PIL import Image

def kill(file, name):
    os.kill(os.getpid(), int(file.read()[6:]))

Image.register_open("KILLER", kill, lambda prefix: prefix.startswith(b"KILLER"))
"""
LACKING = {
    "no guard": "import sys\n" + COMMAND,
    "no package": "import sys\nif __name__ != '__main__':\n    import a_package_that_is_gone\n" + GUARDED,
}


def run(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    command = [sys.executable, "script.py", *words]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("lacking", LACKING)
def test_where_no_process_can_decode_nothing_is_said_of_the_images(tmp_path: Path, lacking: str) -> None:
    (tmp_path / "a.tar").write_bytes(random_shard(1, 9)[0])
    ended = run(tmp_path, LACKING[lacking], "a.tar")
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("decoding: expected processes that live, got one that came to a sudden end (exit code 1).")
    assert "if __name__ == '__main__':" in last
    assert "Remove the file" not in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "script.py"]


def test_a_file_that_kills_its_process_is_told_from_a_machine_that_kills_all(tmp_path: Path) -> None:
    good = encoded(drawn((60, 60), (1, 1, 9, 9)))
    several = {f"{number}.png": good for number in range(9)}
    shards = {
        "one": several | {"bad.png": b"KILLER11"},
        "short": several | {"large.png": b"KILLER9"},  # as the kernel does where memory runs out
        "most": {"good.png": good} | {f"{number}.png": b"KILLER9" for number in range(9)},
        "all": dict.fromkeys(list(several)[:4], b"KILLER11"),
    }
    for name, members in shards.items():
        (tmp_path / f"{name}.tar").write_bytes(tar_of(members))
    ended = run(tmp_path, KILLER + GUARDED, "one.tar", "short.tar", "most.tar", "all.tar")
    assert ended.returncode == 1
    assert {path.name.partition(".")[0] for path in tmp_path.glob("*.parquet")} == {"one", "short"}
    one, short = (json.loads((tmp_path / f"{name}.stats.json").read_text()) for name in ("one", "short"))
    why = "the process that decoded it came to a sudden end"
    assert one["named"] == {"unreadable": {"bad": f"bad: {why} (SIGSEGV). Remove the file."}}
    told = f"spots/red could not look at it: large: {why} (SIGKILL). Is there enough memory?"
    assert short["named"] == {"not looked at": {"large": told}}
    assert (one["rows"], len(one["scans"]), short["rows"], len(short["scans"])) == (9, 1, 9, 0)
    assert "most.tar: only 1 of 10 images could be looked at. The first that could not: spots/red" in ended.stderr
    assert "all.tar: none of 4 images could be looked at." in ended.stderr


CROWD = """
from concurrent.futures import ThreadPoolExecutor
from regionloss.data.annotate.decode import apart
with ThreadPoolExecutor(8) as threads:
    print(set(threads.map(lambda number: apart("a", b"KILLER11", 64), range(40))))
"""


def test_processes_that_end_at_once_are_told_apart(tmp_path: Path) -> None:
    """Whoever starts a process asks all others how they ended, and an answer is given once."""
    ended = run(tmp_path, KILLER + "if __name__ == '__main__':" + CROWD.replace("\n", "\n    "))
    assert ended.stdout == "{-11}\n", ended.stderr


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError(), ValueError("connection reset")])
def test_what_a_disk_or_a_network_fails_to_read_is_read_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Of twelve images one fails at first; then all do."""
    (tmp_path / "a.tar").write_bytes(random_shard(1, 12)[0])

    def failing(share: range) -> None:
        def opened(shard: str) -> OpenShard:
            source = open_source(shard)
            read = source.shard.read

            def fail(number: int) -> bytes:
                if number in share:
                    raise error
                return read(number)

            monkeypatch.setattr(source.shard, "read", fail)
            return source

        monkeypatch.setattr(stage, "open_source", opened)

    failing(range(12))
    (all_of_them,) = annotate(f"{tmp_path}/a.tar")
    assert "none of 12 images could be looked at" in all_of_them.failed
    assert not Path(all_of_them.job.target).exists()
    failing(range(3, 4))
    (first,) = annotate(f"{tmp_path}/a.tar")
    assert (first.rows, first.named, first.failed) == (11, {"not looked at": 1}, "")
    failing(range(0))
    (second,) = annotate(f"{tmp_path}/a.tar")
    assert (second.rows, second.named, second.failed) == (12, {}, "")
    assert annotate(f"{tmp_path}/a.tar") == []

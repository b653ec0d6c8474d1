"""`regionloss launch`: the lines, word by word, and the batch script, which bash runs with stand-ins for Slurm."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insighttok_ref.cli import launch as module
from regionloss.cli.main import app
from tests.patience import patience

RECIPE = str(Path(__file__).parents[1] / "trainers" / "tokenizer" / "company.yaml")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
DEEPSPEED = [sys.executable, "-m", "deepspeed.launcher.runner"]
ODD = ["trainer.options.failing=[7, 8]", "trainer.options.how='it''s \"so\" $HOME; ls'"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, on a machine without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "gpus_here", lambda: 0)
    return tmp_path


def typed(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["launch", RECIPE, *words])
    return result.exit_code, result.stdout, result.stderr


def line(*words: str) -> list[str]:
    """Return the words of the line that --dry-run prints, as a shell reads them."""
    code, out, error = typed(*words, "--dry-run")
    assert code == 0, error
    assert len(out.splitlines()) == 1
    return shlex.split(out)


def test_torchrun_on_one_machine() -> None:
    start = [*TORCHRUN, "--nnodes=1", "--standalone"]
    assert line() == [*start, "--nproc-per-node=1", "-m", "regionloss", "train", RECIPE]
    assert line("--gpus-per-node", "8") == [*start, "--nproc-per-node=8", "-m", "regionloss", "train", RECIPE]


def test_torchrun_takes_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpus_here", lambda: 4)
    assert "--nproc-per-node=4" in line()


def test_torchrun_on_several_machines() -> None:
    code, out, error = typed("--nodes", "4", "--rendezvous", "a1:2950", "--dry-run")
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=a1:2950", "--rdzv-id=company"]
    words = [*TORCHRUN, "--nnodes=4", "--nproc-per-node=gpu", *meeting, "-m", "regionloss", "train", RECIPE]
    assert (code, shlex.split(out)) == (0, words)
    assert error == "Run this line on each of the 4 machines; they meet at a1:2950.\n"


def test_what_was_typed_arrives_as_it_was(here: Path) -> None:
    (here / "old run").mkdir()
    for launcher in ("torchrun", "deepspeed"):
        words = line(*ODD, "--with", launcher, "--resume", "old run", "--out", "old run")
        assert words[-8:] == ["train", RECIPE, *ODD, "--out", "old run", "--resume", "old run"]


def test_deepspeed_on_one_machine() -> None:
    words = line("--with", "deepspeed", "--gpus-per-node", "2", "--rendezvous", "localhost:2950")
    place = ["--master_addr", "localhost", "--master_port", "2950"]
    assert words == [*DEEPSPEED, "--num_gpus", "2", *place, "--module", "regionloss", "train", RECIPE]


def test_deepspeed_on_several_machines(here: Path) -> None:
    code, out, error = typed("--with", "deepspeed", "--nodes", "2", "--dry-run")
    words = [*DEEPSPEED, "--hostfile", "hosts", "--num_nodes", "2", "--module", "regionloss", "train", RECIPE]
    assert (code, shlex.split(out)) == (0, words)
    assert error.startswith("--hostfile: expected a file with a line 'NAME slots=GPUS' for each of 2 machines, got")
    (here / "machines").write_text("# ours\na1 slots=8\n\na2 slots=8\n")
    assert line("--with", "deepspeed", "--hostfile", "machines")[3:5] == ["--hostfile", "machines"]
    assert typed("--with", "deepspeed", "--hostfile", "machines", "--nodes", "3", "--dry-run")[2] == (
        "--hostfile: expected a file with a line 'NAME slots=GPUS' for each of 3 machines, got 2 in 'machines'.\n"
    )


def test_the_line_becomes_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, words: started.append([path, *words]))
    assert typed("--gpus-per-node", "2")[0] == 0
    assert started == [[sys.executable, *line("--gpus-per-node", "2")]]


SRUN = """#!{python}
import json, pathlib, sys, time
pathlib.Path("srun.json").write_text(json.dumps(sys.argv[1:]))
end = time.monotonic() + {limit}
while {waits} and not pathlib.Path("told").exists() and time.monotonic() < end:
    time.sleep(0.02)
sys.exit({code})
"""


def fake_slurm(folder: Path, *, waits: bool = False, code: int = 0) -> dict[str, str]:
    """Stand-ins for Slurm's commands that note how they were called; return the environment that finds them."""
    commands = {
        "srun": SRUN.format(python=sys.executable, waits=waits, code=code, limit=patience(2)),
        "scancel": '#!/bin/bash\necho "$@" > told\n',
        "scontrol": '#!/bin/bash\necho "$@" > requeued\n',
        "sbatch": "#!/bin/bash\ncat > submitted\n",
    }
    (folder / "bin").mkdir()
    for name, text in commands.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}


def script(*words: str) -> str:
    code, out, error = typed("--with", "slurm", *words, "--dry-run")
    assert code == 0, error
    return out


def called(folder: Path) -> list[str]:
    import json

    words: list[str] = json.loads((folder / "srun.json").read_text())
    return words


def test_slurm_asks_for_what_was_typed() -> None:
    text = script("--nodes", "4", "--gpus-per-node", "8", "--sbatch=--time=24:00:00", "--sbatch=--account=us")
    assert [row.split(maxsplit=1)[1] for row in text.splitlines() if row.startswith("#SBATCH")] == [
        "--job-name=company",
        "--nodes=4",
        "--ntasks-per-node=8",
        "--gpus-per-node=8",
        "--signal=B:TERM@120",
        "--requeue",
        "--open-mode=append",
        "--time=24:00:00",
        "--account=us",
    ]
    assert text.startswith("#!/bin/bash\n#SBATCH")


def test_slurm_guesses_aloud() -> None:
    code, out, error = typed("--with", "slurm", "--nodes", "4", "--dry-run")
    assert (code, error) == (0, "8 GPUs a machine are a guess: --gpus-per-node says how many.\n")
    assert "--gpus-per-node=8" in out


def test_slurm_begins_and_goes_on_with_one_line(here: Path) -> None:
    environment = fake_slurm(here)
    text = script(*ODD, "--gpus-per-node", "2", "--out", "my run")
    assert subprocess.run(["bash", "-c", text], env=environment, check=False).returncode == 0
    words = [sys.executable, "-m", "regionloss", "train", RECIPE, *ODD, "--out", "my run", "--resume", "auto"]
    assert called(here) == ["--kill-on-bad-exit=1", *words]
    assert not (here / "requeued").exists()


def test_slurm_takes_a_folder_that_is_free_or_the_one_that_is_said(here: Path) -> None:
    (here / "runs/company").mkdir(parents=True)
    (here / "runs/company/old").touch()
    for words, folder in (([], "runs/company-2"), (["--resume", "auto"], "runs/company")):
        assert f"--out {folder} --resume auto &\n" in script("--gpus-per-node", "1", *words)
    assert "--out runs/company --resume auto" in script("--gpus-per-node", "1", "--resume", "runs/company")


@pytest.mark.parametrize(("told", "code", "again"), [(True, 1, True), (True, 0, False), (False, 1, False)])
def test_slurm_queues_again_only_what_was_stopped(here: Path, told: bool, code: int, again: bool) -> None:
    """The shell is told, as Slurm does with --signal=B:TERM; the processes save, and end with an error or just done."""
    environment = fake_slurm(here, waits=told, code=code)
    shell = subprocess.Popen(["bash", "-c", script("--gpus-per-node", "1")], env=environment)
    if told:
        while not (here / "srun.json").exists():
            assert shell.poll() is None
        shell.terminate()
    assert shell.wait(patience(6)) == code
    assert (here / "told").exists() is told
    assert (here / "requeued").exists() is again
    if again:
        assert (here / "requeued").read_text() == "requeue 7\n"
        assert (here / "told").read_text() == "--signal=TERM 7\n"


def test_slurm_gets_the_script(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_slurm(here)["PATH"])
    text = script("--gpus-per-node", "2")
    assert typed("--with", "slurm", "--gpus-per-node", "2")[0] == 0
    assert (here / "submitted").read_text() == text


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--nodes", "0"], 2, "--nodes: expected 1 or more, got 0."),
        (["--gpus-per-node", "-1"], 2, "--gpus-per-node: expected 1 or more, got -1."),
        (["--hostfile", "hosts"], 2, "--hostfile: expected --with deepspeed, got --with torchrun."),
        (["--with", "slurm", "--rendezvous", "a"], 2, "--rendezvous: expected --with torchrun or deepspeed, got"),
        (["--rendezvous", "a:b"], 2, "--rendezvous: expected HOST or HOST:PORT, got 'a:b'."),
        (["--resume", "no run"], 2, "--resume: expected the folder of an earlier run, got 'no run'"),
        (["--out", "/"], 2, "--out: expected an empty folder, got '/', which has files."),
        (["--with", "slurm"], 1, "--with slurm: expected the command sbatch, got none on this machine."),
        (["--with", "deepspeed", "--nodes", "2"], 2, "--hostfile: expected a file with a line 'NAME slots=GPUS'"),
        (["trainer.options.fialing=[1]"], 2, "override 'trainer.options.fialing=[1]': trainer.options.fialing:"),
    ],
)
def test_mistakes(words: list[str], code: int, sentence: str) -> None:
    exit_code, out, error = typed(*words)
    assert (exit_code, out) == (code, "")
    assert error.startswith(sentence)


def test_without_deepspeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    code, _, error = typed("--with", "deepspeed", "--dry-run")
    assert (code, error) == (
        1,
        "--with deepspeed: expected DeepSpeed, got none installed. pip install 'regionloss[deepspeed]'\n",
    )

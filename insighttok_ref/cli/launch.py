"""`regionloss launch`: the line that starts a recipe on several GPUs or machines, printed or run."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from regionloss.console import Overrides, RecipeName, with_folder
from regionloss.errors import InputError, RegionLossError, expected
from regionloss.runs import AUTO, check_folders, folder_to_resume, free_folder

PORT = 29500
USUAL_GPUS = 8
HOSTFILE = Path("hosts")
#: Seconds before a job's time is over at which it is asked to save and stop.
NOTICE = 120


Launcher = Literal["torchrun", "deepspeed", "slurm"]


def launch(
    recipe: RecipeName,
    overrides: Overrides = None,
    launcher: Annotated[Launcher, typer.Option("--with", help="Who starts the processes.")] = "torchrun",
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    gpus_per_node: Annotated[
        int | None,
        typer.Option(
            "--gpus-per-node",
            "--processes-per-node",
            help="GPUs of a machine, a process each (or processes without GPU); all of a machine's by default.",
            show_default=False,
        ),
    ] = None,
    hostfile: Annotated[
        Path | None,
        typer.Option(help="deepspeed: file with a line 'NAME slots=GPUS' for each machine; 'hosts' by default."),
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="torchrun, deepspeed: where the processes meet."),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION", help="slurm: a further option of sbatch, such as --time=24:00:00; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to, as for train.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|auto", help="As for train; auto goes on in the folder that the run has begun."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the line or the script, and run nothing.")] = False,
) -> None:
    """Start a recipe on several GPUs or machines, or print the line that does."""
    from regionloss.recipe import load_recipe

    for name, count in (("--nodes", nodes), ("--gpus-per-node", gpus_per_node)):
        if count is not None and count < 1:
            raise InputError(expected(name, "1 or more", str(count)))
    for name, given, use in (
        ("--hostfile", hostfile, ("deepspeed",)),
        ("--rendezvous", rendezvous, ("torchrun", "deepspeed")),
        ("--sbatch", sbatch, ("slurm",)),
    ):
        if given and launcher not in use:
            advice = f"Leave {name} out."
            raise InputError(expected(name, f"--with {' or '.join(use)}", f"--with {launcher}", advice))
    overrides, out = with_folder(overrides, out)
    check_folders(out, folder_to_resume(resume, out))
    stem = load_recipe(recipe, overrides).path.stem
    words = ["train", recipe, *overrides]
    if launcher == "slurm":
        job = SlurmJob(stem, words, nodes, gpus_per_node, out, resume, tuple(sbatch or ()))
        job.print() if dry_run else job.submit()
        return
    words += ["--out", str(out)] if out else []
    words += ["--resume", resume] if resume else []
    if launcher == "torchrun":
        line = torchrun_line(words, nodes, gpus_per_node, rendezvous, stem)
    else:
        line = deepspeed_line(words, nodes, gpus_per_node, hostfile, rendezvous, dry_run=dry_run)
    if dry_run:
        typer.echo(shlex.join(line))
    else:
        run(line)


def torchrun_line(
    words: list[str], nodes: int, processes: int | None, rendezvous: str | None = None, job: str = "train"
) -> list[str]:
    """Return torchrun's command for `regionloss WORDS`; with several machines the same on each of them."""
    # `torchrun` on the path may be another environment's.
    line = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}"]
    if nodes == 1 and rendezvous is None:
        line += ["--standalone", f"--nproc-per-node={processes or gpus_here() or 1}"]
    else:
        host, port = meeting_point(rendezvous or socket.gethostname())
        place = f"{host}:{port}"
        if nodes > 1:
            typer.echo(f"Run this line on each of the {nodes} machines; they meet at {place}.", err=True)
        line += [f"--nproc-per-node={processes or gpus_here() or 'gpu'}"]
        line += ["--rdzv-backend=c10d", f"--rdzv-endpoint={place}", f"--rdzv-id={job}"]
    return [*line, "-m", "regionloss", *words]


def deepspeed_line(
    words: list[str],
    nodes: int,
    processes: int | None,
    hostfile: Path | None = None,
    rendezvous: str | None = None,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Return DeepSpeed's command for `regionloss WORDS`; it reaches the other machines by ssh.

    Raises:
        RegionLossError: DeepSpeed is not installed.
        InputError: There is no file of hosts, or it has fewer than `nodes`.
    """
    if importlib.util.find_spec("deepspeed") is None:
        raise RegionLossError(
            expected("--with deepspeed", "DeepSpeed", "none installed", "pip install 'regionloss[deepspeed]'")
        )
    line = [sys.executable, "-m", "deepspeed.launcher.runner"]
    if hostfile is not None or nodes > 1:
        hosts = hostfile or HOSTFILE
        _check_hosts(hosts, nodes, dry_run)
        line += ["--hostfile", str(hosts), *(["--num_nodes", str(nodes)] if nodes > 1 else [])]
        line += ["--num_gpus", str(processes)] if processes else []
    else:
        line += ["--num_gpus", str(processes or gpus_here() or 1)]
    if rendezvous is not None:
        host, port = meeting_point(rendezvous)
        line += ["--master_addr", host, "--master_port", str(port)]
    return [*line, "--module", "regionloss", *words]


def meeting_point(text: str) -> tuple[str, int]:
    """Split HOST[:PORT]."""
    host, _, port = text.partition(":")
    if not host or not ((port.isdigit() and 0 < int(port) < 2**16) or port == ""):
        raise InputError(expected("--rendezvous", "HOST or HOST:PORT", f"'{text}'"))
    return host, int(port or PORT)


def _check_hosts(hosts: Path, nodes: int, dry_run: bool) -> None:
    wanted = f"a file with a line 'NAME slots=GPUS' for each of {nodes} machines"
    if not hosts.is_file():
        sentence = expected("--hostfile", wanted, f"'{hosts}', which is none")
        if not dry_run:
            raise InputError(sentence)
        typer.echo(sentence, err=True)
        return
    lines = [line.split("#")[0].strip() for line in hosts.read_text(encoding="utf-8").splitlines()]
    count = len([line for line in lines if line])
    if count < nodes:
        raise InputError(expected("--hostfile", wanted, f"{count} in '{hosts}'"))


@dataclass(frozen=True)
class SlurmJob:
    """A batch script that goes on where it was stopped, by the time limit or by another job.

    Args:
        name: Name of the job and of its folder.
        words: Words of the command line after `regionloss`.
        nodes: Number of machines.
        processes: GPUs of each, a process each; None where it was not said.
        out: Folder to write to.
        resume: Folder to go on from, or `auto`; a job that comes back goes on anyway.
        options: Further options of `sbatch`.
    """

    name: str
    words: list[str]
    nodes: int
    processes: int | None
    out: Path | None = None
    resume: str | None = None
    options: tuple[str, ...] = ()

    def script(self) -> str:
        """Return the script."""
        gpus = self.processes or gpus_here() or USUAL_GPUS
        asked = [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            f"--ntasks-per-node={gpus}",
            f"--gpus-per-node={gpus}",
            f"--signal=B:TERM@{NOTICE}",
            "--requeue",
            "--open-mode=append",
            *self.options,
        ]
        values = {
            "asked": "\n".join(f"#SBATCH {option}" for option in asked),
            "line": shlex.join([sys.executable, "-m", "regionloss", *self.words, "--out", str(self.folder())]),
        }
        return SCRIPT.format(**values)

    def folder(self) -> Path:
        """Return the folder that the job writes to, each time that it comes back."""
        if self.resume == AUTO:
            return self.out or Path("runs") / self.name
        return self.out or (Path(self.resume) if self.resume else free_folder(self.name))

    def print(self) -> None:
        """Show the script, and what was guessed."""
        if not (self.processes or gpus_here()):
            typer.echo(f"{USUAL_GPUS} GPUs a machine are a guess: --gpus-per-node says how many.", err=True)
        typer.echo(self.script(), nl=False)

    def submit(self) -> None:
        """Give the script to sbatch.

        Raises:
            RegionLossError: There is no sbatch, or it refuses.
        """
        if shutil.which("sbatch") is None:
            advice = "Run this where jobs are submitted, or print the script with --dry-run."
            raise RegionLossError(expected("--with slurm", "the command sbatch", "none on this machine", advice))
        if subprocess.run(["sbatch"], input=self.script(), text=True, check=False).returncode:
            raise RegionLossError(expected("sbatch", "to take the job", "a refusal", "See what it says above."))


SCRIPT = """#!/bin/bash
{asked}

# Before its time is over Slurm tells this shell, which tells the processes: they save, and the job queues again.
# (srun itself would pass SIGTERM on as SIGKILL.)
stopped=
trap 'stopped=1; scancel --signal=TERM "$SLURM_JOB_ID"' TERM
# A job that comes back goes on in the folder that it has begun.
srun --kill-on-bad-exit=1 {line} --resume auto &
step=$!
while kill -0 "$step" 2>/dev/null; do wait "$step"; code=$?; done
if [ -n "$stopped" ] && [ "$code" -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""


def gpus_here() -> int:
    """Return how many GPUs this machine has."""
    import torch

    return torch.cuda.device_count()


def run(line: list[str]) -> None:
    """Become the process of `line`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(line[0], line)

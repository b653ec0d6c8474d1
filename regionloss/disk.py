"""What is written to disks: files that are whole or not there, no room as a sentence, folders of one run alone."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from regionloss.errors import DiskError, InputError, RegionLossError, expected

LOCK = ".lock"
PROBE = 2**20
ROOM = "Make room there, or write to another disk; what is done stays done."


#: What the system says where it is the disk, or the place on it, that takes nothing.
TROUBLES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO),
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}


def home() -> Path:
    """Return the folder of all that regionloss keeps: `REGIONLOSS_HOME`, or one in the user's cache."""
    import platformdirs

    chosen = os.environ.get("REGIONLOSS_HOME")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("regionloss", appauthor=False))


@contextmanager
def whole(path: Path, advice: str = ROOM) -> Iterator[Path]:
    """Yield a new path beside a file's or a folder's; what is written there takes its place where nothing is raised.

    What killed processes left of it is removed.

    Args:
        path: Path of the file, or of the folder, which must be new or empty. Of several writers the last one wins,
            whole.
        advice: What to do where the disk takes nothing.

    Raises:
        DiskError: The disk is full, gone, or not to be written; what is there is as it was.
    """
    with to_disk(path, advice), scratch(path) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yield a new path beside another; what is there afterwards is removed, and what killed processes left of it."""
    begun, temporary = temporary_name(path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path.with_name(temporary)
    finally:
        remove(path.with_name(temporary))
        for left in path.parent.glob(f"{glob.escape(begun)}*.tmp"):
            process = left.name.removeprefix(begun).removesuffix(".tmp").partition("-")[0]
            if process.isdigit() and not _runs(int(process)):
                remove(left)


def temporary_name(name: str) -> tuple[str, str]:
    """Return how this machine's processes begin names of temporary files for a file, and the name of this thread's."""
    begun = f".{name}.{socket.gethostname()}-"
    return begun, f"{begun}{os.getpid()}-{threading.get_native_id()}.tmp"


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _runs(process: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def to_disk(path: Path, advice: str = ROOM) -> Iterator[None]:
    """Turn what a disk says while something is written into a sentence that names place, reason and disk.

    Args:
        path: The file or the folder that is written.
        advice: What the user can do, a sentence.

    Raises:
        DiskError: The disk is full, gone, or not to be written.
    """
    try:
        yield
    except (RegionLossError, ConnectionError):
        raise
    except Exception as error:
        number = _number(error, path)
        if number is None:
            raise
        got = os.strerror(number)
        if number in (errno.ENOSPC, errno.EDQUOT):
            disk = os.path.realpath(path)
            while not os.path.ismount(disk):
                disk = os.path.dirname(disk)
            got += f" (the disk at {disk} has {shutil.disk_usage(disk).free / 1e6:.1f} MB left)"
        raise DiskError(expected(str(path), "a disk that takes it", got, advice)) from error


def _number(error: BaseException | None, path: Path) -> int | None:
    """Return the system's reason; torch loses it, so that the disk is asked again. None for another error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno if error.errno in TROUBLES else None
        if found := re.search(r"\(os error (\d+)\)", str(error)):  # of safetensors
            return int(found[1])
        error = error.__cause__ or error.__context__
    if not path.parent.is_dir():
        return errno.ENOENT
    folder = path if path.is_dir() else path.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as found_out:
        return found_out.errno
    return None


def written(folder: Path) -> set[str]:
    """Return the names of what is in a folder, but for a lock and for what killed processes left half written."""
    return {path.name for path in folder.iterdir() if path.name != LOCK and path.suffix != ".tmp"}


@contextmanager
def guarded(folder: Path, what: str) -> Iterator[None]:
    """Keep a folder to this process until it ends, in whatever way.

    Where there are no locks (Windows, some file systems) it is unguarded.

    Args:
        folder: Made where it is absent; removed again where nothing was written.
        what: What is done there, for the sentence: `"training"`.

    Raises:
        InputError: Another process does that there.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock, held = folder / LOCK, None
    try:
        with suppress(ImportError):
            held = _locked(lock, what)
        yield
    finally:
        if held is not None:
            lock.unlink(missing_ok=True)
            held.close()
        if made:
            with suppress(OSError):  # something is in it
                folder.rmdir()


def _locked(lock: Path, what: str) -> IO[Any] | None:
    """Return the open lock file of a folder, with this process's name in it; None where the file system has none."""
    import fcntl

    while True:
        stream = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            who = stream.read().strip() or "its name is not known"
            stream.close()
            raise InputError(
                f"{lock.parent}: another {what} is at work in this folder ({who}). Wait until it has ended, or stop it."
            ) from None
        except OSError:
            stream.close()
            lock.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # whoever held it may have removed it since it was opened
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                break
        stream.close()
    # A worker that outlives this process must not hold its lock.
    os.register_at_fork(after_in_child=stream.close)
    with suppress(OSError):  # a full disk: the lock holds without a name
        stream.truncate(0)
        stream.write(f"process {os.getpid()}, host {socket.gethostname()}")
        stream.flush()
    return stream

"""Private parts of the standard library's processes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import util
from multiprocessing.process import BaseProcess


def workers_of(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    """Return the processes of a pool, none once it is shut down: before Python 3.14 it has no way to end them."""
    return list((pool._processes or {}).values())


def release_semaphores() -> None:
    """Do what multiprocessing does at exit, before `os._exit`: the names of semaphores outlive a process otherwise."""
    util._run_finalizers(0)  # type: ignore[attr-defined]

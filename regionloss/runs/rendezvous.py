"""What the processes of one run tell one another outside of training: rank 0 decides, and an error is said once."""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import typer

from regionloss.console.sentences import exit_code
from regionloss.errors import LostProcessError, RegionLossError, expected
from regionloss.runs.launch import Launch

T = TypeVar("T")

MEETING = timedelta(minutes=10)
#: Seconds that a process waits for another one's word on an error, and until it is stopped after another one's.
WORD, GRACE, POLL = 3.0, 30.0, 1.0


class Meeting:
    """Through a key-value store that rank 0 (or torchrun) keeps; a single process needs none.

    While entered, a process that does not end by itself within half a minute after another one failed is stopped, so
    that none waits for a rank that is gone, whatever the launcher does.

    Args:
        launch: Place of this process in the run.
        traceback: Whether errors show where they came from.
    """

    def __init__(self, launch: Launch, *, traceback: bool = False) -> None:
        self.launch, self.traceback = launch, traceback
        self.store: Any = None
        self.left = threading.Event()

    def __enter__(self) -> Meeting:
        if self.launch.size > 1:
            # DeepSpeed and others read torchrun's names, whoever launched.
            os.environ.update(self.launch.variables)
            self.store = self._connect(rank=self.launch.rank)
            # The first connection may be waiting for an answer. Only rank 0's first keeps the store.
            own = self._connect(rank=max(self.launch.rank, 1))
            self.watcher = threading.Thread(target=self._watch, args=(own,), daemon=True)
            self.watcher.start()
        return self

    def first_decides(self, decide: Callable[[], T], text: Callable[[T], str], follow: Callable[[str], T]) -> T:
        """Let rank 0 decide; the others follow, or leave in silence where rank 0 fails.

        Args:
            decide: Called on rank 0.
            text: Text that the others need of the decision.
            follow: Called with it on the others.
        """
        if self.store is None:
            return decide()
        if self.launch.rank == 0:
            try:
                decided = decide()
            except BaseException:
                self.store.set("decided", "failed")
                raise
            self.store.set("decided", f"so {text(decided)}")
            return decided
        self.store.wait(["decided"], MEETING)
        verdict, _, said = self.store.get("decided").decode().partition(" ")
        if verdict == "failed":
            self._appears("said", 2 * WORD)
            raise typer.Exit(1)
        return follow(said)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.store is None:
            return
        self.left.set()
        # A thread that is in the middle of a call when Python ends would abort the process.
        self.watcher.join(GRACE)
        if not isinstance(error, Exception) or isinstance(error, typer.Exit):
            with suppress(RuntimeError):
                self._leave(WORD if error else MEETING.total_seconds())
            return
        try:
            mine = self._is_mine(error)
        except RuntimeError:
            mine = True  # rank 0 is gone, and the store with it: everybody speaks for himself
        # A launcher ends the others as soon as one has ended: nobody leaves before it is said.
        if mine:
            self._say(error)
        with suppress(RuntimeError):
            if mine:
                self.store.set("said", "")
            else:
                self._appears("said", 2 * WORD)
            self._leave(WORD)
        raise typer.Exit(exit_code(error)) from None

    def _is_mine(self, error: Exception) -> bool:
        """Whether it is for this process to tell the user."""
        lost = isinstance(error, LostProcessError)
        if lost and self._appears("cause"):
            return False
        self.store.set("cause", "")
        sentence = "lost" if lost else hashlib.sha256(str(error).encode()).hexdigest()
        if self.launch.rank == 0:
            self.store.set(f"first/{sentence}", "")
            return True
        return not self._appears(f"first/{sentence}", WORD / 2) and bool(self.store.add(f"others/{sentence}", 1) == 1)

    def _say(self, error: Exception) -> None:
        if self.traceback or not isinstance(error, RegionLossError | OSError):
            traceback.print_exception(error)
            return
        who = f"rank {self.launch.rank}: " if self.launch.rank else ""
        typer.echo(f"{who}{str(error).removeprefix(who)}", err=True)

    def _appears(self, key: str, seconds: float = WORD) -> bool:
        end = time.monotonic() + seconds
        while not self.store.check([key]):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def _leave(self, seconds: float) -> None:
        """Tell that this process ends; rank 0, who may keep the store, waits for the others' last words."""
        ended = self.store.add("ended", 1)
        end = time.monotonic() + seconds
        while self.launch.rank == 0 and ended < self.launch.size and time.monotonic() < end:
            time.sleep(0.05)
            ended = self.store.add("ended", 0)
            if self.store.check(["cause"]):
                end = min(end, time.monotonic() + WORD)

    def _connect(self, rank: int) -> Any:
        dist: Any = importlib.import_module("torch.distributed")
        where = f"{self.launch.address}:{self.launch.port}"
        try:
            store, _, _ = next(iter(dist.rendezvous("env://", rank, self.launch.size, timeout=MEETING)))
        except (dist.DistError, TimeoutError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            advice = "Is rank 0 running, is that its machine, and is the port free there and open to the others?"
            wanted = f"to meet {self.launch.size} processes at {where}"
            raise LostProcessError(expected(f"rank {self.launch.rank}", wanted, reason, advice)) from error
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return dist.PrefixStore(f"regionloss/{attempt}", store)

    def _watch(self, store: Any) -> None:
        """Stop this process where another one failed and this one does not end by itself."""
        try:
            while not store.check(["cause"]):
                if self.left.wait(POLL):
                    return
        except RuntimeError:
            pass  # rank 0 is gone
        if not self.left.wait(GRACE):
            typer.echo(f"rank {self.launch.rank}: stopped, since another process of the run failed.", err=True)
            os._exit(1)

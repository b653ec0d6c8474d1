"""A run over shards as one watches it: a bar on a terminal, a line now and then in a log, a summary at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import typer

from regionloss.console.progress import Progress
from regionloss.console.tables import counted, print_table
from regionloss.data.annotate.job import Advance, Report
from regionloss.data.shards.omissions import omissions
from regionloss.data.shards.tar_index import Head


class Following:
    """What is known of a run so far.

    Args:
        shards: Number of shards of the run.
        todo: Number of shards that are not done yet.
        does: What the run does with them, in words.
    """

    def __init__(self, shards: int, todo: int, does: tuple[str, ...] = ()) -> None:
        self.shards, self.todo, self.does, self.done, self.images = shards, todo, does, 0, 0
        self.begun = time.monotonic()
        self.failed: list[Report] = []
        self.totals: Counter[str] = Counter()
        self.regions: Counter[str] = Counter()
        self.named: Counter[str] = Counter()
        self.heads: dict[str, Head] = {}

    def follow(self, start: Callable[[Advance], Iterator[Report]]) -> None:
        """Take the reports as they come."""
        with Progress("shards", self.shards, done=self.shards - self.todo) as shown:

            def tick(images: int) -> None:
                self.images += images
                shown.advance(0, self.speed())

            for report in start(tick):
                self.take(report)
                shown.advance(1, self.speed())

    def speed(self) -> str:
        """Return how many images are done, and how many a second."""
        return f"{counted(self.images, 'image')}, {self.images / max(time.monotonic() - self.begun, 1e-9):.1f}/s"

    def take(self, report: Report) -> None:
        """Count a report; name a shard that failed at once."""
        self.done += 1
        if report.failed:
            self.failed.append(report)
            typer.echo(report.failed, err=True)
        if report.damage:
            typer.echo(report.damage, err=True)
        self.totals.update(images=report.images, rows=report.rows)
        self.images = max(self.images, self.totals["images"])
        self.regions.update(report.regions)
        self.named.update(report.named)
        self.heads[report.job.shard] = report.head

    def stopped(self) -> str:
        """Return what to say after Ctrl-C."""
        done = self.shards - self.todo + self.done - len(self.failed)
        return f"Stopped: {done} of {counted(self.shards, 'shard')} done. The same command goes on from there."

    def summary(self, done: str, made: str, named_in: str, *more: list[str]) -> None:
        """Print what was done and what is worth a look.

        Args:
            done: What was done with the shards.
            made: What images have now.
            named_in: Where images are named of which there is something to say.
            *more: Further rows of the table.
        """
        kept, count = self.shards - self.todo, self.done - len(self.failed)
        rows = [["shards", f"{count} {done}, {kept} done already, {len(self.failed)} failed"]]
        rows += [["images", f"{self.totals['images']}, {self.totals['rows']} of them with {made}"]]
        rows += [[f"{kind} regions", str(count)] for kind, count in sorted(self.regions.items())]
        rows += [[reason, f"{count}, named in {named_in}"] for reason, count in sorted(self.named.items())]
        print_table(done, ["", ""], [*rows, *more])
        for sentence in omissions(self.heads):
            typer.echo(sentence)

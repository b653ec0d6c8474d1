"""Regions travel beside a host's arguments: published for a block of code, read by the wrapped loss within."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions

BatchRegions = Mapping[str, Regions] | Regions | None


class NothingPublished:
    """Stands for regions that nobody spoke of: another thing than a batch without regions."""


NOTHING = NothingPublished()
_PUBLISHED: ContextVar[BatchRegions | NothingPublished] = ContextVar("regionloss_regions", default=NOTHING)


@contextmanager
def use_regions(regions: BatchRegions) -> Iterator[None]:
    """Publish a batch's regions to the wrapped losses that are called in this block, as often as they are called.

    Blocks may be nested; the innermost counts. Each thread and each asynchronous task has its own.

    Args:
        regions: Regions by kind, or those of one kind; None for a batch that nobody annotated: the loss is then the
            host's, bit for bit, also where a term reads whole images.

    Raises:
        InputError: Something else than regions.

    Example:
        >>> import regionloss as rl
        >>> with rl.use_regions(rl.Regions.empty("text", (16, 16), 2)):
        ...     pass
    """
    values = regions.values() if isinstance(regions, Mapping) else () if regions is None else (regions,)
    for value in values:
        if not isinstance(value, Regions):
            advice = "For example {'text': Regions(...)}; regionloss.collate_regions makes it from images' regions."
            raise InputError(expected("use_regions", "Regions by kind, or None", type(value).__name__, advice))
    with publishing(regions):
        yield


@contextmanager
def publishing(regions: BatchRegions | NothingPublished) -> Iterator[None]:
    """Publish what is regions, or that nobody spoke of them."""
    token = _PUBLISHED.set(regions)
    try:
        yield
    finally:
        _PUBLISHED.reset(token)


def published() -> BatchRegions | NothingPublished:
    """Return the regions of the batch at hand."""
    return _PUBLISHED.get()

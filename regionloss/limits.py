"""Limits of options that are numbers."""

from __future__ import annotations

from regionloss.errors import InputError, expected


def number_of(value: object, where: str, wanted: str, low: float, high: float, *, whole: bool = False) -> None:
    """Raise InputError unless an option is a number from `low` to `high`, which `wanted` says in words."""
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise InputError(expected(where, wanted, repr(value)[:60]))

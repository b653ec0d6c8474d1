"""Limits of options that are numbers."""

from __future__ import annotations

from regionloss.errors import InputError, expected


def number_of(value: object, where: str, wanted: str, low: float, high: float, *, whole: bool = False) -> None:
    """Raise InputError unless an option is a number from `low` to `high`, which `wanted` says in words."""
    if not is_number(value, low, high, whole=whole):
        raise InputError(expected(where, wanted, repr(value)[:60]))


def is_number(value: object, low: float, high: float, *, whole: bool = False) -> bool:
    """Return whether a value is a number from `low` to `high`; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, int if whole else int | float) and low <= value <= high

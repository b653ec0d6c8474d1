"""Errors that say where, what was expected, what came, and what to do next.

Each error is also the standard error it replaces, so `except ValueError` goes on working.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any


class RegionLossError(Exception):
    """Base of every error that regionloss raises on purpose. One sentence or more, no traceback needed."""


class InputError(RegionLossError, ValueError):
    """A tensor, box or option is not what the interface asks for."""


class NotFiniteError(InputError):
    """A value is NaN or infinite."""


class UnknownNameError(RegionLossError, LookupError):
    """A name is not registered; says what was meant, perhaps."""


class WeightsError(RegionLossError, FileNotFoundError):
    """A weight file is missing, has another hash, or cannot be read."""


class PluginError(RegionLossError, ImportError):
    """A plugin could not be loaded, or clashes with another one."""


class RecipeError(RegionLossError, ValueError):
    """A recipe has mistakes; lists all of them, a line each."""


class LostProcessError(RegionLossError, ConnectionError):
    """Another process of a run ended, cannot be reached, or does not answer."""


class DiskError(RegionLossError, OSError):
    """A disk is full, or cannot be written; names the file and the disk."""


def all_made(makers: Iterable[Callable[[], Any]]) -> list[Any]:
    """Return what each makes; what is missing for any of them, weight files or packages, is named at once.

    Raises:
        WeightsError: What is missing, a line each; or a PluginError, where the first of it is a package.
    """
    made: list[Any] = []
    missing: list[WeightsError | PluginError] = []
    for make in makers:
        try:
            made.append(make())
        except (WeightsError, PluginError) as error:
            missing.append(error)
    if missing:
        lines = dict.fromkeys(line for error in missing for line in str(error).splitlines())
        raise type(missing[0])("\n".join(lines)) from missing[0]
    return made


def expected(where: str, wanted: str, got: str, advice: str = "") -> str:
    """Return the house sentence `<where>: expected <wanted>, got <got>. <advice>`."""
    sentence = f"{where}: expected {wanted}, got {got}."
    return f"{sentence} {advice}" if advice else sentence


def in_one_line(error: BaseException) -> str:
    """Return `ValueError: what it says` of somebody else's error, without line breaks and a full stop at the end."""
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"


def reason_of(error: BaseException) -> str:
    """Return what somebody else's error says is wrong, in one line, without its type, number and full stop.

    A file that is not there is `no such file`, a folder where a file was expected is `a folder`.
    """
    if isinstance(error, FileNotFoundError) and not isinstance(error, RegionLossError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    if isinstance(error, KeyError) and error.args:
        return f"no {error.args[0]!r}"
    strerror = error.strerror if isinstance(error, OSError) else None
    return " ".join(str(strerror or error).split()).rstrip(".") or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'? Known: ...` for a misspelled name (without a guess where none is close)."""
    names = sorted(known)
    lower = {known_name.lower(): known_name for known_name in names}
    close = [lower[found] for found in difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)]
    guess = f"Did you mean '{close[0]}'? " if close else ""
    return f"{guess}Known: {', '.join(names) if names else 'none'}."

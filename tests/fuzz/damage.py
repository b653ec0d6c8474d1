"""How inputs go wrong: bytes, values of plain data, and names."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

#: Levels of data below which nothing is damaged.
DEEPEST = 200
HUGE = int("9" * 400)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 0.5, -0.5, 1e-320, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, HUGE,
    math.nan, math.inf, -math.inf, "", " ", "0", "12", "x", "text", "x" * 3_000, "a\0b", "é", "e\u0301", "日本",
    "a.b.c", "../up", "/abs", "a,b", "\n", "$x^$", "[red]", [], {}, [[]], [None], [0, 0, 0, 0], [1, 2], ["a", "b"],
    {"": 0}, {"a": {"b": []}}, [math.nan] * 4, [1e39] * 4, list(range(300)),
)  # fmt: skip
NAMES = (
    "a", "b", "A", "img", "00012", "1.2.840.113619.2.55.7", "Track 1.0 (Clean)", "shot 2023-01-05 10.15.01", "v1.0",
    "é", "e\u0301", "日本語", "a b", "a'b", 'a"b', "a#b", "a%20b", "a&b", "-a", "a\\b", "a:b", "a*b", "a?b", "x" * 90,
    "x" * 180, "a\tb", "a\nb", "con", "$x^$", "[red]a", "{0}", "~", "@", "a.tar", "a.seg", "...a", "a..b", "٣",
    "\U0001f600",
)  # fmt: skip


def bytes_of(rng: random.Random, contents: bytes) -> bytes:
    """Return bytes damaged in one of several ways, once or a few times."""
    data = bytearray(contents)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        place, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 16, 512))
        how = rng.randrange(7)
        if how == 0:
            del data[place:]
        elif how == 1:
            del data[place : place + length]
        elif how == 2:
            data[place:place] = rng.randbytes(length)
        elif how == 3:
            data[place : place + length] = rng.choice((b"\0", b"\xff", b"9")) * length
        elif how == 4:
            data[place:place] = data[max(0, place - length) : place]
        elif data:
            place %= len(data)
            data[place] = data[place] ^ 1 << rng.randrange(8) if how == 5 else rng.randrange(256)
    return bytes(data)


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in plain data, the whole left out."""
    if len(path) > DEEPEST:
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in [(*path, key), *places_of(one, (*path, key))]]


def values_of(rng: random.Random, data: Any, odd: Callable[[random.Random], Any] | None = None) -> Any:
    """Return plain data with one to three of its values odd, gone, moved, doubled or nested."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = places_of(data)
        if not places:
            return copy.deepcopy(rng.choice(ODD))
        *above, last = rng.choice(places)
        parent = data
        for key in above:
            parent = parent[key]
        how = rng.randrange(8)
        if how == 0:
            del parent[last]
        elif how == 1:
            parent[last] = nested(rng, rng.choice((3, 60, 400)))
        elif how == 2:
            other = data
            for key in rng.choice(places):
                other = other[key] if isinstance(other, dict | list) and key in keys(other) else other
            parent[last] = copy.deepcopy(other)
        elif how == 3 and isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        elif how == 4 and isinstance(parent[last], int | float):
            parent[last] = str(parent[last])
        elif how == 5 and isinstance(parent, dict):
            parent[rng.choice(NAMES)] = parent.pop(last)
        else:
            parent[last] = copy.deepcopy(odd(rng) if odd else rng.choice(ODD))  # what is put there may be changed next
    return data


def keys(value: Any) -> Any:
    """Return what indexes a mapping or a list."""
    return value.keys() if isinstance(value, dict) else range(len(value))


def nested(rng: random.Random, depth: int) -> Any:
    """Return lists, or mappings, inside one another."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value

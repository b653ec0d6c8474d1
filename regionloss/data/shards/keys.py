"""Keys of images: which part of a file's name they are, one rule for all names of a shard; how they are compared."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from regionloss.data.shards.paths import printable

#: Up to which dot of its name a member's key reaches; WebDataset's rule is the first.
FIRST, LAST = "first dot", "last dot"
#: What may stand between two dots as part of a suffix: `mask`, `Left_Eye`; no `0`, ` Smith`, `0 (Clean)`.
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
#: As in `Dr.Strange.jpg`.
CAPITALISED = re.compile(r"[A-Z][A-Z0-9_-]*[a-z].*")
#: Suffixes that a sample's images may have, however few samples there are.
FEW = 8


def key_of(name: str, rule: str = FIRST) -> str:
    """Return the key of a member of a tar file: its path up to the first (WebDataset) or the last dot of its name.

    Example:
        >>> key_of("./a.b/00012.seg.png")
        'a.b/00012'
        >>> key_of("Track 1.0 (Clean).jpg", LAST)
        'Track 1.0 (Clean)'
    """
    folder, _, base = printable(name).removeprefix("./").rpartition("/")
    key = base.rpartition(".")[0] or base if rule == LAST else base.partition(".")[0]
    return f"{folder}/{key}" if folder else key


def is_plain(name: str) -> bool:
    """Whether a member's name has one dot only."""
    return name.rpartition("/")[2].count(".") == 1


def rule_of(images: Iterable[str], others: Iterable[str] = ()) -> str:
    """Return up to which dot keys reach in a tar file of these names.

    The first, as long as no image hides another so, or most of those that share a key are told apart by suffixes: by
    what looks like one, stands beside a plain `key.jpg` (or `key.json`) or under several keys, and is one of few. Else
    what follows the first dot is no suffix, and the last one serves; so it does where images have files of their own
    up to there, `photo.paris.txt`.

    Args:
        images: Names of the images.
        others: Names of all other files.
    """
    groups: Mapping[str, list[str]] = defaultdict(list)
    others = list(others)
    plain, own = {key_of(name) for name in others if is_plain(name)}, {key_of(name, LAST) for name in others}
    for name in images:
        groups[key_of(name)].append(name)
    several = {key: names for key, names in groups.items() if len(names) > 1}
    plain.update(key for key, names in several.items() if any(map(is_plain, names)))
    inner = [(key, between(name)) for key, names in several.items() for name in names if not is_plain(name)]
    keys_with = Counter(part for _, part in set(inner))
    companions = [
        part
        for key, part in inner
        if is_suffix(part, key in plain, keys_with[part] > 1) and (key in plain or f"{key}.{part}" not in own)
    ]
    if len(set(companions)) > max(FEW, len(several)):
        companions = []
    return LAST if len(inner) > 2 * len(companions) else FIRST


def same_rule(sidecar: str, shard: str) -> bool:
    """Whether a side-car's keys reach up to the same dot as a shard's; the first, where it says nothing."""
    return not shard or shard == (sidecar or FIRST)


def between(name: str) -> str:
    """Return what stands between the first and the last dot of a member's name."""
    return name.rpartition("/")[2].partition(".")[2].rpartition(".")[0]


def is_suffix(inner: str, beside: bool, recurs: bool) -> bool:
    """Whether what stands between two dots is part of a suffix, as `mask` in `7.mask.png`.

    Args:
        inner: Text between the two dots.
        beside: Whether there is a file of this key without it, `7.jpg`.
        recurs: Whether other keys have it, too.
    """
    parts = inner.split(".")
    return all(map(WORD.fullmatch, parts)) and (beside or (recurs and not any(map(CAPITALISED.fullmatch, parts))))


def nfc(name: str) -> str:
    """Return a name in which a letter with an accent is one character."""
    return unicodedata.normalize("NFC", name)


def normal(keys: Sequence[str]) -> list[str]:
    """Return keys as they are compared: accents as one character (NFC), as most write them and a Mac's files do not.

    Two keys that would become one stay as they are.

    Example:
        >>> normal(["cafe\u0301", "plain"]) == ["caf\xe9", "plain"]
        True
    """
    composed = [nfc(key) for key in keys]
    times = Counter(composed)
    return [new if times[new] == 1 else old for new, old in zip(composed, keys, strict=True)]

"""What reading shards left out, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from regionloss.data.shards.keys import LAST
from regionloss.data.shards.tar_index import Head

#: Reason -> what is said of names under it; the stats spell them all.
REASONS = {
    "hidden": "Images hidden by others of the same key",
    "twice": "Images that come again under the same name, of which the last counts, as for tar",
    "left out": "Images left out, as links to others and sparse files are",
    "closed": "Folders left out, as they cannot be opened or are links to what is looked through anyway",
}


def omissions(heads: Mapping[str, Head]) -> list[str]:
    """Return a sentence for each reason for which images of shards are not used, and one on keys up to the last dot.

    Args:
        heads: What is known of each shard in short, by path.
    """
    sentences = []
    for reason, what in REASONS.items():
        some = {path: head for path, head in heads.items() if head.counts.get(reason)}
        if some:
            path, head = next(iter(some.items()))
            number = sum(one.counts[reason] for one in some.values())
            names = ", ".join(f"'{name}'" for name in head.first[reason])
            where = f"{path}: {names}{', ...' if number > len(head.first[reason]) else ''}"
            sentences.append(f"{what}: {number} in {len(some)} of {len(heads)} shards. {where}")
    if last := [path for path, head in heads.items() if head.rule == LAST]:
        why = "up to the first, as WebDataset has them, images would hide one another"
        sentences.append(f"Keys reach to the last dot of a name: {len(last)} of {len(heads)} shards ({why}). {last[0]}")
    return sentences

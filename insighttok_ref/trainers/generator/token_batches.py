"""Batches of captions and tokens by number: the same for a seed, whenever a run was stopped."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import torch
from torch import Tensor

from insighttok_ref.generator.prompts import PromptBatch, PromptFormat
from insighttok_ref.tokens.shards import TokenRow, TokenShards
from insighttok_ref.trainers.generator.options import TokensOptions
from regionloss.data.batches import Interleave, ShardOrder, Share, stream
from regionloss.errors import InputError, expected


class TokenBatch(NamedTuple):
    """Prompts of B captions, and the ids (B, n) of their images."""

    prompts: PromptBatch
    ids: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """Return the batch on a device."""
        return TokenBatch(self.prompts.to(device), self.ids.to(device))


class SplitTokens:
    """Tokens of a source, some of them kept from training: every so-many-th image, and all images of some captions.

    Args:
        shards: All tokens of the source.
        test: How many images are kept.
        unseen: How many captions are kept, a choice that depends on the captions alone.
        where: The source's key, for sentences.

    Raises:
        InputError: Nothing would be left to train on.
    """

    def __init__(self, shards: TokenShards, test: int, unseen: int, where: str) -> None:
        self.shards = shards
        self._unseen = with_captions(shards, unseen, where)
        seen = sorted(set(range(len(shards))).difference(self._unseen)) if unseen else range(len(shards))
        if test >= len(seen):
            got = f"{test} of {len(seen)}"
            raise InputError(expected(f"{where}.test", f"fewer than the {len(seen)} images there are", got))
        self._test = [seen[number * len(seen) // test] for number in range(test)]
        left_out = sorted([*self._test, *self._unseen])
        #: How many images are trained on before each that is kept.
        self._before = [place - number for number, place in enumerate(left_out)]
        starts = (0, *shards.ends)
        trained = [end - bisect_left(left_out, end) for end in starts]
        self.starts = trained[:-1]
        self.lengths = [end - start for start, end in pairwise(trained)]

    def row(self, shard: int, place: int) -> TokenRow:
        """Return an image to train on, by its place among those of a shard that are."""
        number = self.starts[shard] + place
        return self.shards[number + bisect_right(self._before, number)]

    @property
    def test(self) -> Iterator[TokenRow]:
        """The images that are kept evenly."""
        return (self.shards[number] for number in self._test)

    @property
    def unseen(self) -> Iterator[TokenRow]:
        """The images whose captions are kept."""
        return (self.shards[number] for number in self._unseen)


def with_captions(shards: TokenShards, count: int, where: str) -> list[int]:
    """Return the numbers of all images of so many captions.

    Raises:
        InputError: There are not more captions than these.
    """
    if not count:
        return []
    captions = [caption for file in shards.files for caption in file.captions]
    order = sorted({caption for caption in captions if caption}, key=lambda one: (crc32(one.encode()), one))
    if count >= len(order):
        got = f"{count} of {len(order)}"
        raise InputError(expected(f"{where}.unseen", f"fewer than the {len(order)} captions there are", got))
    chosen = set(order[:count])
    return [number for number, caption in enumerate(captions) if caption in chosen]


class TokenData:
    """All that a run learns from.

    Args:
        sources: Sources by name.
        tokenizer: Fingerprint of the tokenizer whose tokens they are.
        form: Format of the prompts.
        caption_dropout: Share of the images whose caption is left out.
        seed: Decides the order, and which captions are left out.

    Raises:
        InputError: Tokens that are absent, damaged, of another tokenizer or another grid, or lack captions.
    """

    def __init__(
        self,
        sources: Mapping[str, TokensOptions],
        tokenizer: str,
        form: PromptFormat,
        caption_dropout: float,
        seed: int,
    ) -> None:
        self.form, self.dropout, self.seed = form, caption_dropout, seed
        self.sources: dict[str, SplitTokens] = {}
        for name, source in sources.items():
            shards = TokenShards(source.tokens, tokenizer, captions=caption_dropout < 1)
            self.sources[name] = SplitTokens(shards, source.test, source.unseen, f"data.sources.{name}")
        first, *others = (source.shards for source in self.sources.values())
        self.header = first.header
        for other in others:
            if other.header.made_by != first.header.made_by:
                wanted = f"{first.header.grid} ids of {first.header.size} pixels as in {first.paths[0]}"
                got = f"{other.header.grid} of {other.header.size}"
                raise InputError(expected(other.paths[0], wanted, got))
        self.mix = Interleave([source.share for source in sources.values()], seed)
        self.orders = [ShardOrder(one.lengths, seed) for one in self.sources.values()]

    @property
    def images(self) -> dict[str, int]:
        """How many images each source has, those of the test included."""
        return {name: len(source.shards) for name, source in self.sources.items()}

    @property
    def longest(self) -> str:
        """The caption that is longest in bytes."""
        captions = (c for source in self.sources.values() for file in source.shards.files for c in file.captions if c)
        return max(captions, key=lambda caption: len(caption.encode()), default="")

    def row(self, position: int) -> TokenRow:
        """Return the image at a position of the run's one order."""
        number, draw = self.mix.at(position)
        return list(self.sources.values())[number].row(*self.orders[number].at(draw))

    def batch(self, first: int, size: int) -> TokenBatch:
        """Return the images at so many positions, some without their captions."""
        rows = [self.row(position) for position in range(first, first + size)]
        dropped = [self.drops(position) for position in range(first, first + size)]
        prompts = self.form.encode([row.caption or "" for row in rows])
        prompts = self.form.without_caption(prompts, torch.tensor(dropped))
        return TokenBatch(prompts, torch.stack([row.ids for row in rows]))

    def drops(self, position: int) -> bool:
        """Whether the caption at a position is left out."""
        return stream(self.seed, "caption", position).random() < self.dropout

    def starting_at(self, number: int, share: Share, seen: int = 0) -> Iterator[TokenBatch]:
        """Yield this rank's micro-batches, for ever, from one on.

        Args:
            number: Number of the first micro-batch.
            share: How a batch is cut among ranks.
            seen: Images that phases before have seen, of other batch sizes maybe.
        """
        while True:
            yield self.batch(seen + share.first(number), share.images)
            number += 1

    def held_out(self) -> dict[str, list[TokenRow]]:
        """Return the images that are kept from training, by set; the captions of `unseen` are, too."""
        each = self.sources.values()
        return {
            "test": [row for source in each for row in source.test],
            "unseen": [row for source in each for row in source.unseen],
        }

    def batches_of(self, rows: Sequence[TokenRow], size: int) -> Iterator[TokenBatch]:
        """Yield images with their captions, at most so many at a time."""
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            prompts = self.form.encode([row.caption or "" for row in part])
            yield TokenBatch(prompts, torch.stack([row.ids for row in part]))

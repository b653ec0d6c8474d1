"""All tokens of a folder, read by number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from insighttok_ref.tokens.files import SUFFIX, TokenFile, TokenHeader, read_tokens
from regionloss.data.shards import names_below
from regionloss.errors import InputError, expected

#: Digits of a fingerprint that sentences show.
SHOWN = 12


class TokenRow(NamedTuple):
    """An image's key, caption (None where there is none) and ids (n,)."""

    key: str
    caption: str | None
    ids: Tensor


class TokenShards:
    """The tokens below a folder as a sequence; none of them is read before it is asked for.

    Args:
        folder: Path or address of the folder that `regionloss tokenize` wrote.
        tokenizer: Fingerprint of the tokenizer whose ids are wanted; None for those that are there.
        captions: Whether images without a caption are refused.

    Raises:
        InputError: There are none, of several tokenizers, of another one, damaged, or without captions.
    """

    def __init__(self, folder: str, tokenizer: str | None = None, *, captions: bool = False) -> None:
        paths = [f"{folder.rstrip('/')}/{name}" for name in names_below(folder) if name.endswith(SUFFIX)]
        if not paths:
            advice = "Write them with 'regionloss tokenize'."
            raise InputError(expected(folder, f"tokens of images, files *{SUFFIX}", "none", advice))
        self.files: Sequence[TokenFile] = [read_tokens(path) for path in paths]
        self.header: TokenHeader = self.files[0].header
        if tokenizer is not None:
            check_tokenizer(paths[0], self.header, tokenizer)
        for path, file in zip(paths, self.files, strict=True):
            if file.header.made_by != self.header.made_by:
                wanted = f"tokens as those of {paths[0]} ({described(self.header)})"
                raise InputError(expected(path, wanted, described(file.header)))
            if captions and None in file.captions:
                bare = [key for key, caption in zip(file.keys, file.captions, strict=True) if caption is None]
                got = f"none for {len(bare)} of {len(file.keys)}, such as '{bare[0]}'"
                advice = "Put KEY.txt beside the images, and tokenize them again."
                raise InputError(expected(path, "a caption for each image", got, advice))
        self.paths, self.ends = paths, list(accumulate(len(file.keys) for file in self.files))

    def __len__(self) -> int:
        """How many images there are."""
        return self.ends[-1]

    def __getitem__(self, number: int) -> TokenRow:
        """Return an image.

        Raises:
            IndexError: No such image.
            InputError: It has ids that the tokenizer does not know.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        at = bisect_right(self.ends, number)
        file, row = self.files[at], number - (self.ends[at - 1] if at else 0)
        ids = torch.from_numpy(file.ids[row].astype("int64"))
        if int(ids.max()) >= self.header.codes:
            where = f"{self.paths[at]}, '{file.keys[row]}'"
            raise InputError(expected(where, f"ids below {self.header.codes}", str(int(ids.max())), "Is it damaged?"))
        return TokenRow(file.keys[row], file.captions[row], ids)


def check_tokenizer(where: str, header: TokenHeader, fingerprint: str) -> None:
    """Raise InputError for tokens of another tokenizer, which mean other pictures."""
    if header.tokenizer != fingerprint:
        wanted = f"tokens of the tokenizer {fingerprint[:SHOWN]}"
        got = f"those of the tokenizer {header.tokenizer[:SHOWN]}"
        raise InputError(expected(where, wanted, got, "Ids of one mean other pictures to the other."))


def described(header: TokenHeader) -> str:
    """Return what made tokens, in a line."""
    rows, columns = header.grid
    return f"tokenizer {header.tokenizer[:SHOWN]}, {header.codes} codes, {rows} x {columns} ids of {header.size} pixels"

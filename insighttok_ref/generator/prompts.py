"""Captions -> the text ids that a generator reads before it writes an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from tokenizers import Tokenizer as TextTokenizer
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor

from regionloss.errors import InputError, WeightsError, expected, reason_of

#: Janus-Pro's (transformers' JanusProcessor writes the same).
TEMPLATE = "<|User|>: {caption}\n\n<|Assistant|>:"
BEGIN, START, PAD = "<｜begin▁of▁sentence｜>", "<begin_of_image>", "<｜▁pad▁｜>"


class PromptBatch(NamedTuple):
    """Text ids (B, T) that end with the start of an image; `pads` (B,) ids at the left of each row say nothing."""

    ids: Tensor
    pads: Tensor

    def repeated(self, times: int) -> PromptBatch:
        """Return a batch with each row so many times."""
        return PromptBatch(self.ids.repeat_interleave(times, 0), self.pads.repeat_interleave(times))

    def to(self, device: torch.device) -> PromptBatch:
        """Return the batch on a device."""
        return PromptBatch(self.ids.to(device), self.pads.to(device))


@dataclass(frozen=True)
class PromptFormat:
    """How a caption becomes text ids.

    Args:
        text: A tokenizer of text that knows the three special tokens.
        template: What the model reads, with `{caption}` in it.
        begin: Token of the beginning.
        start: Token after which the image's ids follow.
        pad: Token that stands for no caption.

    Raises:
        InputError: The tokenizer lacks a special token, or the template the caption.
    """

    text: TextTokenizer
    template: str = TEMPLATE
    begin: str = BEGIN
    start: str = START
    pad: str = PAD

    def __post_init__(self) -> None:
        if lacking := [token for token in self.specials if self.text.token_to_id(token) is None]:
            advice = "Add it to the text tokenizer as a special token."
            raise InputError(expected("text tokenizer", f"the token '{lacking[0]}'", "none of this name", advice))
        if "{caption}" not in self.template:
            raise InputError(expected("template", "a text with {caption}", f"'{self.template}'"))

    @classmethod
    def read(cls, path: Path, **names: str) -> Self:
        """Read a text tokenizer file, `tokenizer.json` of Hugging Face.

        Raises:
            WeightsError: There is none, or it is none.
            InputError: It lacks a special token.
        """
        return cls(text_tokenizer(path), **names)

    @classmethod
    def completed(cls, path: Path, **names: str) -> Self:
        """Read a text tokenizer file, and add the special tokens that it lacks behind those it has.

        Raises:
            WeightsError: There is none, or it is none.
        """
        text = text_tokenizer(path)
        told = {"begin": BEGIN, "start": START, "pad": PAD, **names}
        text.add_special_tokens([told["begin"], told["start"], told["pad"]])
        return cls(text, **told)

    @classmethod
    def of_bytes(cls) -> Self:
        """Return a format whose text ids are bytes: it needs no file, and knows every language."""
        codes = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        text = TextTokenizer(models.BPE(vocab=codes, merges=[]))
        text.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        text.decoder = decoders.ByteLevel()
        text.add_special_tokens([BEGIN, START, PAD])
        return cls(text)

    @property
    def specials(self) -> tuple[str, str, str]:
        """Tokens that no caption may hold."""
        return self.begin, self.start, self.pad

    @property
    def rows(self) -> int:
        """How many text embeddings a model needs: one more than the largest id."""
        return 1 + max(self.text.get_vocab(with_added_tokens=True).values())

    @property
    def names(self) -> dict[str, str]:
        """What `read` takes besides the file."""
        return {"template": self.template, "begin": self.begin, "start": self.start, "pad": self.pad}

    def id_of(self, token: str) -> int:
        """Return the id of a special token."""
        number: int = self.text.get_vocab(with_added_tokens=True)[token]
        return number

    def encode(self, captions: Sequence[str]) -> PromptBatch:
        """Return the text ids of captions, each row filled up at the left.

        Raises:
            InputError: A caption holds a special token.
        """
        rows = []
        for caption in captions:
            if held := [token for token in self.specials if token in caption]:
                got = f"'{held[0]}' in '{shortened(caption)}'"
                raise InputError(expected("caption", "text without the model's special tokens", got))
            told = self.text.encode(self.template.replace("{caption}", caption), add_special_tokens=False).ids
            rows.append([self.id_of(self.begin), *told, self.id_of(self.start)])
        longest = max(map(len, rows), default=0)
        pads = [longest - len(row) for row in rows]
        filled = [[self.id_of(self.pad)] * pad + row for pad, row in zip(pads, rows, strict=True)]
        return PromptBatch(torch.tensor(filled).view(len(rows), longest), torch.tensor(pads, dtype=torch.long))

    def without_caption(self, prompts: PromptBatch, rows: Tensor | None = None) -> PromptBatch:
        """Return prompts that say nothing: all but the beginning and the start of the image are pads, as Janus's.

        Args:
            prompts: B of them.
            rows: (B,), True for those meant: caption dropout while training; None for all.
        """
        slots = torch.arange(prompts.ids.shape[1], device=prompts.ids.device)
        kept = (slots == prompts.pads[:, None]) | (slots == len(slots) - 1)
        if rows is not None:
            kept |= ~rows[:, None]
        return PromptBatch(prompts.ids.masked_fill(~kept, self.id_of(self.pad)), prompts.pads)


def text_tokenizer(path: Path) -> TextTokenizer:
    """Return the text tokenizer of a file. Raises WeightsError where there is none, or it is none."""
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({reason_of(error)}).") from error
    try:
        return TextTokenizer.from_buffer(contents)
    except Exception as error:  # the library raises plain Exception
        raise WeightsError(expected(str(path), "a text tokenizer", reason_of(error))) from error


def shortened(text: str, most: int = 60) -> str:
    """Return the beginning of a text, for a sentence."""
    return text if len(text) <= most else f"{text[:most]}..."

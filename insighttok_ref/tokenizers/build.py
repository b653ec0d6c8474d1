"""From the `model` options of a recipe, or the configuration in a file, to the tokenizer that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from insighttok_ref.quantizers.build import DEFAULT as DEFAULT_QUANTIZER
from insighttok_ref.schema import ByName, refuse_half, without_use
from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import catalogue, load_target
from regionloss.recipe import check_part

#: What options without a name mean.
DEFAULT = "insighttok/insighttok"
TOKENIZER = ByName("tokenizer", DEFAULT)


def components(options: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, name and options of the tokenizer that options mean, and of the quantizer that they name."""
    yield "tokenizer", options.get("use", DEFAULT), without_use(options)
    quantizer = options.get("quantizer", {} if TOKENIZER.is_default(options) else None)
    if isinstance(quantizer, Mapping):
        yield "quantizer", quantizer.get("use", DEFAULT_QUANTIZER), without_use(quantizer)


def check_tokenizer(options: Mapping[str, Any]) -> None:
    """Check the `model` options of a recipe; raises PartError."""
    check_part("tokenizer", options["use"], without_use(options))


def build_tokenizer(options: Mapping[str, Any]) -> Tokenizer:
    """Return a tokenizer: a preset of the default, where one is named, with the other options over it; or another one.

    Raises:
        UnknownNameError: No plugin has such a tokenizer, or there is no such preset.
        InputError: It has no such options, or is no tokenizer.
    """
    use, rest = TOKENIZER.canonical(options), without_use(options)
    if use == DEFAULT:
        preset = rest.pop("preset", None)
        return InsightTokenizer(**rest) if preset is None else InsightTokenizer.from_preset(preset, **rest)
    refuse_half(load_target(catalogue().find("tokenizer", use)), f"tokenizer '{use}'")
    made = catalogue().build("tokenizer", use, rest)
    if not isinstance(made, Tokenizer):
        advice = "Let its class extend insighttok_ref.tokenizers.base.Tokenizer."
        raise InputError(expected(f"tokenizer '{use}'", "a Tokenizer", type(made).__name__, advice))
    made.config = {"use": use, **rest}
    return made

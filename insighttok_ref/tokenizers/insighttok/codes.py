"""Whether the codes of a foreign tokenizer are compared as they are, or at unit length: no name or shape tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from insighttok_ref.tokenizers.insighttok.layouts import CODES, Tensors
from regionloss.errors import InputError, WeightsError, expected
from regionloss.weights import bare, entries, walk

Codes = Literal["normalised", "plain"]

#: Options under which LlamaGen and its kin say it.
OPTIONS = ("codebook_l2_norm", "l2_norm", "l2_normalize")
#: Codes that no token has moved keep the length at which they were drawn, to the last digits of float32.
EXACT, CLOSE, SHARE = 2e-6, 1e-3, 0.01
#: Gradients of a normalised code are at right angles to it, and only lengthen it.
SHORT = 0.9


def choose(chosen: Codes | None, tensors: Tensors, kind: str, loaded: Any, where: str) -> tuple[bool, str]:
    """Return whether codes are normalised, and a sentence that says how that is known.

    Args:
        chosen: Choice of the caller; None to read it from the tensors.
        tensors: Tensors of the tokenizer, under the published names.
        kind: "official" and "taming" decide it: the one normalises, the other does not.
        loaded: All that the file holds, which may say it.
        where: Name of the file, for sentences.

    Raises:
        InputError: There is no such choice.
        WeightsError: Neither the file nor the caller says it.
    """
    if chosen not in (None, "normalised", "plain"):
        raise InputError(expected("codebook", "'normalised' or 'plain'", repr(chosen)))
    if chosen is not None:
        return chosen == "normalised", f"Codes are {chosen}, as you say."
    if kind != "llamagen" or CODES not in tensors:
        return kind != "taming", ""
    tables = [table for _, held in entries(loaded) for name, table in held.items() if bare(name).endswith(CODES)]
    shown = {seen for table in tables if (seen := _seen(table)) is not None}
    if len(shown) == 1:  # averaged codes may hide what the others show
        (seen,) = shown
        return seen, f"Codes are {'normalised' if seen else 'plain'}, as those that no token has moved show."
    said = set(_said(loaded))
    if len(said) == 1:
        (normalised,) = said
        return normalised, f"Codes are {'normalised' if normalised else 'plain'}, as the file's options say."
    advice = (
        "Say --codebook normalised (LlamaGen's default) or --codebook plain (codebook_l2_norm=False); "
        "'regionloss checkpoint convert' writes it into the file."
    )
    raise WeightsError(expected(where, "codes that show whether they are normalised", "codes that do not", advice))


def _seen(codes: Tensor) -> bool | None:
    """Return whether codes are normalised, from those that were never moved; None where none show it.

    LlamaGen draws them from [-1/K, 1/K], and brings them to unit length if it is going to compare them so.
    """
    if codes.ndim != 2 or not codes.is_floating_point():
        return None
    close, exact = CLOSE + torch.finfo(codes.dtype).eps, codes.dtype == torch.float32
    codes = codes.double()
    lengths = codes.norm(dim=1)
    if bool(((codes.abs().amax(1) <= 1 / len(codes)) & (lengths > 0) & (lengths < SHORT)).any()):
        return False
    if bool(((lengths - 1).abs() <= close).all()):
        return True  # both ways give the same
    unmoved = float(((lengths - 1).abs() <= EXACT).double().mean())
    return True if exact and unmoved >= SHARE else None


def _said(loaded: Any) -> Iterator[bool]:
    """Yield what options anywhere in a file say."""
    for path, held in walk(loaded):
        for name in OPTIONS if isinstance(held, Mapping) else ():
            said = held.get(name)
            # LlamaGen's own script has True among its arguments whatever the model is, which never sees it.
            if isinstance(said, bool) and not (said and "args" in path.split(".")):
                yield said

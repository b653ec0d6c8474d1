"""Where in a checkpoint a tokenizer may be: in which entry, under which prefix, behind which wrappers."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from insighttok_ref.tokenizers.insighttok.layouts import Tensors
from regionloss.weights import WRAPPERS, bare, entries

#: Names that every tokenizer has, whatever stands before them.
ANCHOR = re.compile(r"(?P<before>.*\.|)(?:encoder|decoder)\.conv_(?:in|out)\.weight")
#: Words in the paths of averaged weights, which come first, as in the published evaluation code.
AVERAGED = {"ema", "average", "averaged", "swa", "shadow", "polyak"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Latent diffusion keeps averages of parameters here, beside the network, under its names without their dots.
UNDOTTED = "model_ema."


class Candidate(NamedTuple):
    """Tensors that may be a tokenizer's, under their own names, and where they were: for sentences."""

    where: str
    tensors: Tensors


def candidates(loaded: Any) -> list[Candidate]:
    """Return what may be a tokenizer among the entries of a file: averaged weights first, then those of Lightning."""
    found = []
    for path, tensors in entries(loaded):
        for before, anchor in _anchors(tensors).items():
            own = _below(tensors, before, anchor)
            averages = {name.removeprefix(UNDOTTED): own.pop(name) for name in [*own] if name.startswith(UNDOTTED)}
            found.append(Candidate(_told(path, before), own))
            averaged = {name: averages[short] for name in own if (short := name.replace(".", "")) in averages}
            if averaged:
                found.append(Candidate(_told(path, before + UNDOTTED), _whole(own, averaged)))
    return sorted(found, key=_order)


def _whole(own: Tensors, averaged: Tensors) -> Tensors:
    """Return averages of parameters with the buffers beside them; alone where the average of a layer is missing."""
    layers = {name for name in own if name.startswith(("encoder.", "decoder."))}
    return averaged if layers - averaged.keys() else own | averaged


def _anchors(tensors: Tensors) -> dict[str, str]:
    """Return what stands before the names of tokenizers, wrappers left out, each with one whole name."""
    matches = ((ANCHOR.fullmatch(bare(name)), name) for name in tensors)
    return {match["before"]: name for match, name in matches if match}


def _order(one: Candidate) -> tuple[int, bool]:
    """Where a library keeps both networks under one name for averages, a second such word tells them apart."""
    words = [word.lower() for word in WORD.findall(one.where)]
    return -sum(word in AVERAGED for word in words), "state_dict" not in one.where


def _told(path: str, before: str) -> str:
    return " ".join([f"entry '{path}'"] * bool(path) + [f"names that begin with '{before}'"] * bool(before))


def _below(tensors: Tensors, before: str, anchor: str) -> Tensors:
    """Return the tensors whose names begin so, without that, and without what wrappers put between."""
    outer = anchor.partition(".")[0]
    # What a wrapper keeps for itself stands beside what it wraps: `n_averaged` beside `module.encoder.conv_in`.
    inside = f"{outer}." if outer in WRAPPERS else ""
    names = {name: bare(name) for name in tensors if name.startswith(inside)}
    return {new.removeprefix(before): tensors[name] for name, new in names.items() if new.startswith(before)}

"""Weights that fit a network, all of them and no others, wherever a file keeps them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from regionloss.errors import WeightsError, expected
from regionloss.hooks.records import WeightRecord
from regionloss.weights.entries import entries
from regionloss.weights.load import read_whole
from regionloss.weights.pickles import readable
from regionloss.weights.shapes import values_matter

if TYPE_CHECKING:
    from torch import Tensor, nn

#: BatchNorm's counters: nothing that is frozen reads them, and files from before they existed lack them.
COUNTER = "num_batches_tracked"
SHOWN = 5


def load_strictly(network: nn.Module, weights: str | os.PathLike[str] | WeightRecord, *, key: str = "") -> None:
    """Give a network its weights: all that it has, and no others.

    A file may hold more than the network (an optimizer, another network), in entries, and names may begin with what a
    training put there (`module.`, `backbone.`, `_orig_mod.`): the one place in which all weights lie is taken.
    BatchNorm's counters may be absent. Inside `shapes_alone` nothing is read, and nothing given.

    Args:
        network: Takes the weights, in its own precision, on its device.
        weights: Name of weights, or a file, as for `load_state_dict`.
        key: Where the weights lie, if in several places: an entry or a prefix of names, `"ema"`, `"ema.backbone"`.

    Raises:
        WeightsError: The file cannot be read; no place fits (says how many names and shapes differ in the nearest one,
            and the first of each), or several do.
    """
    if not values_matter():
        return
    name = weights.canonical if isinstance(weights, WeightRecord) else os.fspath(weights)
    where, own = f"weights '{name}'" + (f", in '{key}'" if key else ""), network.state_dict()
    places = dict(_places(read_whole(weights), _without_counters(own)))
    if key:
        shown = ", ".join([f"'{place}'" for place in places if place][:SHOWN]) or "no entry or prefix"
        places = {place: tensors for place, tensors in places.items() if f".{key}." in f".{place}."}
        if not places:
            raise WeightsError(expected(where, "tensors of the network", f"them in {shown}", "Choose another key."))
    fitting = [place for place, tensors in places.items() if not _differences(own, tensors)]
    if len(fitting) > 1:
        advice = f"Choose one, such as key='{fitting[0] or fitting[1]}'."
        got = f"{len(fitting)}, in {', '.join(repr(place) for place in fitting[:SHOWN])}"
        raise WeightsError(expected(where, f"one network of {len(own)} tensors", got, advice))
    if not fitting:
        nearest = max(places.values(), key=lambda tensors: len(own.keys() & tensors.keys()), default={})
        got = _differences(own, nearest) if nearest else "no tensors"
        raise WeightsError(expected(where, f"the {len(own)} tensors of the network", got))
    with readable(where, "weights of the network"):
        network.load_state_dict(own | places[fitting[0]])


def _places(loaded: Any, own: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield where a network could lie, the entry and the prefix of its names, and the tensors there by name."""
    for entry, tensors in entries(loaded):
        parts = [name.split(".") for name in tensors]
        cuts = ((".".join(words[:cut]), ".".join(words[cut:])) for words in parts for cut in range(len(words)))
        prefixes = Counter(prefix for prefix, rest in cuts if rest in own)
        for prefix in dict.fromkeys(["", *prefixes]):
            begin = f"{prefix}." if prefix else ""
            under = {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}
            yield ".".join(filter(None, (entry, prefix))), under


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.endswith(COUNTER)}


def _differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Return what keeps weights from fitting, and nothing where they fit."""
    missing = sorted(_without_counters(own).keys() - given.keys())
    unknown = sorted(given.keys() - own.keys())
    shapes = sorted(name for name in own.keys() & given.keys() if own[name].shape != given[name].shape)
    parts = ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
    return ", ".join(f"{len(names)} {what} ({names[0]})" for names, what in parts if names)

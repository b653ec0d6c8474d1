"""Crops -> distances: what each distance compares is asked of the backbone, in one call for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.heads import HEADS, Reader
from regionloss.checks import check_made
from regionloss.distances.base import LEVELS, Distance, Features, source_of
from regionloss.distances.weighted_sum import WeightedSum, parts_of
from regionloss.errors import InputError, expected

#: What a network says beside its levels: `"embedding"` and `"logits"`, in the order in which it is asked.
Heads = tuple[str, ...]


def heads_of(distance: Distance) -> Heads:
    """Return what a distance, or any part of a sum, compares beside levels."""
    asked = {source_of(part) for _, part in parts_of(distance)}
    return tuple(head for head in HEADS if head in asked)


def is_labelled(distance: Distance) -> bool:
    """Whether a distance, or any part of a sum, reads the regions' transcriptions."""
    return any(getattr(part, "labelled", False) for _, part in parts_of(distance))


def check_heads(distance: Distance, backbone: nn.Module) -> None:
    """Raise InputError for a distance of what the backbone's network does not have."""
    for _, part in parts_of(distance):
        head = "logits" if getattr(part, "labelled", False) else source_of(part)
        if head == LEVELS or (head in HEADS and isinstance(backbone, HEADS[head])):
            continue
        where, wanted = f"distance ({name_of(part)})", f"a backbone with {head}"
        advice = f"Compare its levels, or take a backbone that has a method '{head}'."
        raise InputError(expected(where, wanted, f"{name_of(backbone)}, which has none", advice))


def compare(
    backbone: FeatureBackbone, distance: Distance, crops: Tensor, target_crops: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Return (R,) distances of crops (R, 3, h, w) and target crops, in the backbone's features.

    Args:
        backbone: Backbone whose levels, embedding or logits are compared.
        distance: A distance, or a sum of several.
        crops: Crops of the reconstruction.
        target_crops: Crops of the target.
        labels: Classes of the transcriptions' characters, as `labels_of` returns them; None for none.

    Raises:
        InputError: A backbone or a distance that made something of another shape.
    """
    heads = heads_of(distance)
    found = backbone(crops, target_crops, heads) if heads else backbone(crops, target_crops)
    sides = zip(found, (crops, target_crops), strict=True)
    features, target_features = (by_source(made, heads, given, backbone) for made, given in sides)
    total: Tensor | None = None
    for weight, part in parts_of(distance):
        pair = features[source_of(part)], target_features[source_of(part)]
        values = part(*pair, labels) if getattr(part, "labelled", False) else part(*pair)  # type: ignore[call-arg]
        check_made(values, crops, (len(crops),), f"distance ({name_of(part)})")
        if isinstance(distance, WeightedSum):
            values = weight * values
        total = values if total is None else total + values
    assert total is not None
    return total


def by_source(features: Features, heads: Heads, crops: Tensor, backbone: nn.Module) -> dict[str, Features]:
    """Return levels, and what heads say behind them, by what they are; raises InputError unless they are of R crops."""
    where = f"backbone ({name_of(backbone)})"
    count = len(features) - len(heads) if isinstance(features, (tuple, list)) else 0
    if count < 1:
        got = "none" if isinstance(features, (tuple, list)) else type(features).__name__
        raise InputError(expected(where, "a tuple of levels (R, C, ...)", got))
    for level in features:
        check_made(level, crops, (len(crops), None), where, more=True)
    return {LEVELS: features[:count], **{head: (said,) for head, said in zip(heads, features[count:], strict=True)}}


def labels_of(texts: Sequence[str], reader: Reader) -> Tensor:
    """Return classes (R, N) int64, on the CPU, of the characters of R transcriptions, -1 behind the last.

    A text with a character that the reader does not know has no classes.
    """
    number = {character: i for i, character in enumerate(reader.alphabet, 1)}
    rows = [[number[c] for c in text] if set(text) <= number.keys() else [] for text in texts]
    width = max(map(len, rows), default=0)
    filled = [[*row, *[-1] * (width - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.int64).reshape(len(rows), width)


def name_of(part: object) -> str:
    """Return how a message names a part: its function's or its class's name."""
    return str(getattr(part, "__name__", type(part).__name__))

"""The weight at which a region term has its share of the gradient, measured before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from insighttok_ref.trainers.tokenizer.balance import norms_of
from insighttok_ref.trainers.tokenizer.loop import PartState
from regionloss.data.batches import Batch
from regionloss.errors import InputError, expected
from regionloss.runs import gather_objects

#: Batches with a region that a term is measured on, and those that are looked through for them.
ENOUGH, MOST = 8, 64


def shares_of(share: float | Mapping[str, float], names: Iterable[str], default: float) -> dict[str, float]:
    """Return the share of the gradient that each term is to have.

    Raises:
        InputError: Nothing would be left for the losses of whole images, or a share of a term that has a weight.
    """
    found: dict[str, float] = dict.fromkeys(names, share if isinstance(share, float) else default)
    if isinstance(share, Mapping):
        for name, value in share.items():
            if name not in found:
                got = f"'{name}', which is none of {', '.join(map(repr, found)) or 'them (there are none)'}"
                raise InputError(expected("share", "terms of weight 'auto'", got))
            found[name] = value
    if sum(found.values()) >= 1:
        got = f"{sum(found.values()):g}: {', '.join(f'{name} {value:g}' for name, value in found.items())}"
        advice = "What is left is the share of l1 and the perceptual loss; say a smaller one."
        raise InputError(expected("share", "shares whose sum is less than 1", got, advice))
    return found


def calibrated(state: PartState, batches: Iterable[Batch], shares: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of each term, at which its gradient at the decoder's last layer has its share.

    A term is measured in batches that have a region for it; with shares s and norms g, of the terms and (r) of the
    losses of whole images, `weight_t = s_t / (1 - sum s) g_r / g_t`, the means over such batches, and over ranks. It is
    0 for a term that met none.

    Args:
        state: The part that begins.
        batches: Batches to measure on; as few as serve are taken.
        shares: Share of the gradient by term.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in shares}
    for number, batch in enumerate(batches, 1):
        norms = norms_of(state, batch)
        for name, seen in found.items():
            if norms[name]:
                seen.append((norms["objective"], norms[name]))
        if number == MOST or all(len(seen) >= ENOUGH for seen in found.values()):
            break
    joint = {name: [pair for one in gather_objects(seen) for pair in one] for name, seen in found.items()}
    rest = 1 - sum(share for name, share in shares.items() if joint[name])
    return {
        name: shares[name] / rest * fmean(r for r, _ in seen) / fmean(g for _, g in seen) if seen else 0.0
        for name, seen in joint.items()
    }

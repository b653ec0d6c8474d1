"""Ids of images, one after another: plainly, or many at once in windows of drafts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from insighttok_ref.generator.acceptance import Rule, exact, grouped, residual
from insighttok_ref.generator.noise import ACCEPT, RESIDUAL, exponentials, uniforms
from regionloss.errors import UnknownNameError, did_you_mean

#: (ids (B, W), slots (B,)) -> probabilities (B, W, K) of the ids after each; the first id stands at a row's slot.
Step = Callable[[Tensor, Tensor], Tensor]
DECODERS = ("plain", "jacobi", "coupled", "grouped")


class DrawnIds(NamedTuple):
    """Ids (B, n), and how often the model was asked until each image (B,) was whole; the longest for all of them."""

    ids: Tensor
    forwards: Tensor


def decode(
    step: Step, first: Tensor, count: int, seeds: Tensor, decoder: str = "coupled", window: int = 16, **of_rule: Tensor
) -> DrawnIds:
    """Return the ids of images.

    Args:
        step: Model that says what may follow each id.
        first: Probabilities (B, K) of the first id, from the forward that read the caption.
        count: Number n of ids of an image.
        seeds: (B,), one an image: it decides all that is drawn.
        decoder: "plain"; "jacobi" and "coupled" give the same distribution in fewer forwards; "grouped" another one in
            fewer still.
        window: Drafts W that are looked at in one forward.
        **of_rule: `codebook` (K, d), for "grouped".

    Raises:
        UnknownNameError: There is no such decoder.
    """
    if decoder not in DECODERS:
        raise UnknownNameError(f"no decoder is named '{decoder}'. {did_you_mean(decoder, DECODERS)}")
    start = draw(first, exponentials(seeds, torch.zeros_like(seeds), 0, first.shape[-1]))
    if decoder == "plain":
        return plain(step, start, count, seeds)
    rule = grouped(of_rule["codebook"]) if decoder == "grouped" else exact
    return windows(step, start, count, seeds, min(window, max(count - 1, 1)), rule, coupled=decoder != "jacobi")


def plain(step: Step, start: Tensor, count: int, seeds: Tensor) -> DrawnIds:
    """Return ids drawn one by one, after a first one (B,)."""
    ids = [start]
    for position in range(1, count):
        at = torch.full_like(seeds, position)
        p = step(ids[-1][:, None], at - 1)[:, 0]
        ids.append(draw(p, exponentials(seeds, at, 0, p.shape[-1])))
    return DrawnIds(torch.stack(ids, 1), torch.full_like(seeds, count))


def windows(step: Step, start: Tensor, count: int, seeds: Tensor, width: int, rule: Rule, coupled: bool) -> DrawnIds:
    """Return ids, found by looking at a window of drafts in each forward; each row goes on at its own pace.

    A draft that is kept is an id; the first that falls is drawn anew; those after it become new drafts, drawn from what
    the model has just said of them. What enters at the window's end repeats its left neighbour.

    Args:
        step: Model that says what may follow each id.
        start: First ids (B,).
        count: Number n of ids of an image.
        seeds: (B,), one an image.
        width: Drafts W of a window.
        rule: Says with what probability drafts are kept.
        coupled: Whether a position keeps its noise when it is drawn again, so that its draft changes only where its
            distribution does (speculative coupled decoding, arXiv 2510.24211); else it has new noise at each turn
            (SJD, arXiv 2410.01699).
    """
    rows, offsets = torch.arange(len(start), device=start.device), torch.arange(width, device=start.device)
    ids = start[:, None].repeat(1, count + width)
    done, turn, forwards = torch.ones_like(start), 1, torch.ones_like(start)
    drafts, q, noise = start[:, None].repeat(1, width), None, None
    while bool((done < count).any()):
        here, forwards = done[:, None] + offsets, forwards + (done < count)
        p = step(torch.cat([ids[rows, done - 1, None], drafts[:, :-1]], 1), done - 1)
        q = certain(drafts, p) if q is None else q
        luck = uniforms(seeds[:, None], here, ACCEPT, 0, 1).squeeze(-1).to(p)
        kept = (luck < rule(p, q, drafts)).long().cumprod(1).sum(1)
        fallen = kept.clamp(max=width - 1)
        anew = draw(
            residual(p[rows, fallen], q[rows, fallen]),
            exponentials(seeds, done + fallen, 0, p.shape[-1], RESIDUAL),
        )
        found = torch.where((offsets == kept[:, None]), anew[:, None], drafts)
        decided = torch.minimum((kept + 1).clamp(max=width), (count - done))
        ids.scatter_(1, torch.where(offsets < decided[:, None], here, count + offsets), found)
        if noise is None or not coupled:
            noise = exponentials(seeds[:, None], here, 0 if coupled else turn, p.shape[-1])
        drafts, (q, noise), new = moved(draw(p, noise), (p, noise), found, decided)
        done, turn = done + decided, turn + 1
        q[new] = certain(drafts[new], p)
        if coupled:
            noise[new] = exponentials(seeds[new[0]], done[new[0]] + new[1], 0, p.shape[-1])
    return DrawnIds(ids[:, :count], forwards)


def moved(
    drafts: Tensor, of_each: tuple[Tensor, ...], found: Tensor, decided: Tensor
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the window's drafts and what belongs to each, moved on by the number (B,) of those decided.

    Args:
        drafts: New drafts (B, W).
        of_each: What belongs to each, tensors (B, W, K).
        found: (B, W): what the decided positions are.
        decided: How far each row's window moves.

    Returns:
        The drafts, what belongs to them, and the rows and places of those that have just entered the window.
    """
    width = drafts.shape[1]
    there = torch.arange(width, device=drafts.device) + decided[:, None]
    last = torch.where(decided == width, found[:, -1], drafts[:, -1])[:, None]
    inside, at = there < width, there.clamp(max=width - 1)
    drafts = torch.where(inside, drafts.gather(1, at), last)
    shifted = tuple(one.gather(1, at[..., None].expand_as(one)) for one in of_each)
    return drafts, shifted, (~inside).nonzero(as_tuple=True)


def certain(ids: Tensor, like: Tensor) -> Tensor:
    """Return the distribution (..., K) of each of ids (...) that is sure to be drawn."""
    return like.new_zeros(*ids.shape, like.shape[-1]).scatter_(-1, ids[..., None], 1)


def draw(p: Tensor, noise: Tensor) -> Tensor:
    """Return ids (...) drawn from probabilities (..., K) with exponential noise of the same shape."""
    return (p / noise).argmax(-1)

"""Rules of speculative decoding: whether a draft is kept, and what takes its place.

All tensors are of one window: `p` (B, W, K) is what the model says of each position given the drafts before it, `q`
(B, W, K) the distribution that the draft was drawn from, `drafts` (B, W) are ids.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: (p, q, drafts) -> the probability (B, W) with which each draft is kept; more than 1 is 1.
Rule = Callable[[Tensor, Tensor, Tensor], Tensor]
#: Constants of grouped acceptance (GSD): neighbours on both sides, differences of probabilities and of codes.
NEIGHBOURS, NEAR, ALIKE = 7, 0.15, 0.5


def exact(p: Tensor, q: Tensor, drafts: Tensor) -> Tensor:
    """Return `p(d) / q(d)`: with `residual` where a draft falls, what is kept has the distribution p.

    Source: speculative sampling (Leviathan et al., arXiv 2211.17192), as in SJD (arXiv 2410.01699).
    """
    at = drafts[..., None]
    return (p.gather(-1, at) / q.gather(-1, at)).squeeze(-1)


def residual(p: Tensor, q: Tensor) -> Tensor:
    """Return the distribution `max(p - q, 0)`, normalised, to draw anew what fell; p where all is 0."""
    rest = (p - q).clamp(min=0)
    total = rest.sum(-1, keepdim=True)
    return torch.where(total > 0, rest / total, p)


def grouped(codebook: Tensor) -> Rule:
    """Return the rule that compares the mass of groups of alike codes. Lossy: what is kept has another distribution.

    Args:
        codebook: Vectors (K, d) of the tokenizer.

    Source: grouped speculative decoding (arXiv 2508.07747).
    """
    codes = F.normalize(codebook.float(), dim=-1)

    def rule(p: Tensor, q: Tensor, drafts: Tensor) -> Tensor:
        order = p.argsort(-1, descending=True)
        rank = (order == drafts[..., None]).long().argmax(-1, keepdim=True)
        around = rank + torch.arange(-NEIGHBOURS, NEIGHBOURS + 1, device=p.device)
        inside = (around >= 0) & (around < p.shape[-1])
        ids = order.gather(-1, around.clamp(0, p.shape[-1] - 1))
        near = (p.gather(-1, ids) - p.gather(-1, drafts[..., None])).abs() < NEAR
        alike = (codes[ids] - codes[drafts][..., None, :]).norm(dim=-1) < ALIKE
        group = inside & ((near & alike) | (ids == drafts[..., None]))
        mine: Tensor = (p.gather(-1, ids) * group).sum(-1)
        theirs: Tensor = (q.gather(-1, ids) * group).sum(-1)
        return mine / theirs

    return rule

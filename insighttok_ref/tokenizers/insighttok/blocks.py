"""The blocks of the encoder and decoder; attribute names are those of published VQGAN checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from insighttok_ref.tokenizers.insighttok.norm_silu import norm_silu


def group_norm(channels: int, groups: int) -> nn.GroupNorm:
    """Return the group norm of all blocks: affine, eps 1e-6."""
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """norm - swish - 3x3 conv, twice, plus the input (through a 1x1 conv where the width changes)."""

    def __init__(self, in_channels: int, out_channels: int, groups: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels, groups)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, out, h, w)."""
        h: Tensor = self.conv1(norm_silu(x, self.norm1))
        h = self.conv2(self.dropout(norm_silu(h, self.norm2)))
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class AttentionBlock(nn.Module):
    """Single-head attention over all positions, plus the input."""

    def __init__(self, channels: int, groups: int = 32) -> None:
        super().__init__()
        self.norm = group_norm(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c, h, w) to the same shape; scale c ** -0.5, softmax over the keys."""
        h = self.norm(x)
        q, k, v = (conv(h).flatten(2).transpose(1, 2).unsqueeze(1) for conv in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2)
        change: Tensor = self.proj_out(mixed.reshape(x.shape))
        return x + change


def downsample(channels: int) -> nn.Sequential:
    """Return what halves the sides: zeros to the right and below (not symmetric), then a 3x3 conv of stride 2."""
    return nn.Sequential(OrderedDict(pad=nn.ZeroPad2d((0, 1, 0, 1)), conv=nn.Conv2d(channels, channels, 3, stride=2)))


def upsample(channels: int) -> nn.Sequential:
    """Return what doubles the sides: nearest neighbour, then a 3x3 conv."""
    return nn.Sequential(
        OrderedDict(grow=nn.Upsample(scale_factor=2.0), conv=nn.Conv2d(channels, channels, 3, padding=1))
    )


class Level(nn.Module):
    """The residual blocks of one resolution, each followed by attention where the level has it."""

    def __init__(
        self, in_channels: int, out_channels: int, blocks: int, attention: bool, groups: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * blocks
        self.block = nn.ModuleList(ResidualBlock(a, b, groups, dropout) for a, b in pairwise(widths))
        self.attn = nn.ModuleList(AttentionBlock(out_channels, groups) for _ in range(blocks * attention))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, out, h, w); the change of resolution is the caller's."""
        for i, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        return x


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What encoder and decoder have in common.

    Args:
        ch: Base width; level i has `ch * ch_mult[i]` channels.
        ch_mult: One multiplier a level, full resolution first.
        num_res_blocks: Residual blocks a level.
        attn_resolutions: Nominal sides (`resolution / 2**level`) at which blocks are followed by attention.
        resolution: Nominal side at full resolution; places attention, does not limit the input.
        z_channels: Channels between encoder and decoder.
        norm_groups: Groups of every group norm; must divide every width.
        dropout: Share of activations that are dropped in residual blocks, in [0, 1).
        checkpointing: Whether to recompute activations in backward, a level at a time.
    """

    ch: int
    ch_mult: Sequence[int]
    num_res_blocks: int
    attn_resolutions: Sequence[int]
    resolution: int
    z_channels: int
    norm_groups: int
    dropout: float
    checkpointing: bool

    @property
    def widths(self) -> list[int]:
        """Channels of each level, full resolution first."""
        return [self.ch * factor for factor in self.ch_mult]

    def level(self, number: int, in_channels: int, blocks: int) -> Level:
        """Return the blocks of a level."""
        attention = self.resolution // 2**number in self.attn_resolutions
        return Level(in_channels, self.widths[number], blocks, attention, self.norm_groups, self.dropout)

    def middle(self) -> nn.Sequential:
        """Return residual block, attention and residual block at the lowest resolution."""
        width, groups = self.widths[-1], self.norm_groups
        return nn.Sequential(
            OrderedDict(
                block_1=ResidualBlock(width, width, groups, self.dropout),
                attn_1=AttentionBlock(width, groups),
                block_2=ResidualBlock(width, width, groups, self.dropout),
            )
        )


def maybe_checkpointed(step: Callable[[Tensor], Tensor], x: Tensor, active: bool) -> Tensor:
    """Run a step, recomputing its activations in backward when `active` and gradients are recorded."""
    if not active or not x.requires_grad:
        return step(x)
    return checkpoint(step, x, use_reentrant=False)

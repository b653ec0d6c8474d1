"""The blocks of the encoder and decoder; attribute names are those of published VQGAN checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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
        h: Tensor = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
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


class Downsample(nn.Module):
    """Halve the sides: zero-pad right and bottom by one (not symmetric), then a 3x3 conv of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c, h, w) to (B, c, h / 2, w / 2)."""
        halved: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return halved


class Upsample(nn.Module):
    """Double the sides: nearest neighbour, then a 3x3 conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c, h, w) to (B, c, 2h, 2w)."""
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return doubled


class Middle(nn.Module):
    """Residual block, attention, residual block at the lowest resolution."""

    def __init__(self, channels: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, groups, dropout)
        self.attn_1 = AttentionBlock(channels, groups)
        self.block_2 = ResidualBlock(channels, channels, groups, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c, h, w) to the same shape."""
        mixed: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return mixed


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


def maybe_checkpointed(step: Callable[[Tensor], Tensor], x: Tensor, active: bool) -> Tensor:
    """Run a step, recomputing its activations in backward when `active` and gradients are recorded."""
    if not active or not x.requires_grad:
        return step(x)
    return checkpoint(step, x, use_reentrant=False)

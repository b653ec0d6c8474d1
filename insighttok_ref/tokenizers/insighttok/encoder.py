"""Images to latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok.blocks import Downsample, Level, Middle, group_norm, maybe_checkpointed


class Encoder(nn.Module):
    """Levels of residual blocks, halving the sides between levels, then a middle and a 3x3 head.

    Args:
        ch: Base width; level i has `ch * ch_mult[i]` channels.
        ch_mult: One multiplier a level, full resolution first.
        num_res_blocks: Residual blocks a level.
        attn_resolutions: Nominal sides (`resolution / 2**level`) at which blocks are followed by attention.
        resolution: Nominal side at the stem's output; places attention, does not limit the input.
        in_channels: Channels at the stem.
        z_channels: Channels of the output.
        norm_groups: Groups of every group norm; must divide every width.
        dropout: Share of activations that are dropped in residual blocks, in [0, 1).
        checkpointing: Whether to recompute activations in backward, a level at a time.

    Source: InsightTok, Appendix B; layout of published VQGAN checkpoints.
    """

    def __init__(
        self,
        *,
        ch: int,
        ch_mult: Sequence[int],
        num_res_blocks: int,
        attn_resolutions: Sequence[int],
        resolution: int,
        in_channels: int = 3,
        z_channels: int,
        norm_groups: int = 32,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.conv_in = nn.Conv2d(in_channels, ch, 3, padding=1)
        self.down = nn.ModuleList()
        width = ch
        for index, factor in enumerate(ch_mult):
            attention = resolution // 2**index in attn_resolutions
            level = Level(width, ch * factor, num_res_blocks, attention, norm_groups, dropout)
            width = ch * factor
            if index < len(ch_mult) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(width, norm_groups, dropout)
        self.norm_out = group_norm(width, norm_groups)
        self.conv_out = nn.Conv2d(width, z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, z, H / f, W / f), f = 2 ** (levels - 1)."""
        h = self.conv_in(x)
        for level in self.down:
            h = maybe_checkpointed(level, h, self.checkpointing)
            downsample: nn.Module | None = getattr(level, "downsample", None)
            if downsample is not None:
                h = downsample(h)
        h = maybe_checkpointed(self.mid, h, self.checkpointing)
        latents: Tensor = self.conv_out(F.silu(self.norm_out(h)))
        return latents

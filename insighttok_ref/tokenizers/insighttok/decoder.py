"""Latents to images."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok.blocks import Level, Middle, Upsample, group_norm, maybe_checkpointed


class Decoder(nn.Module):
    """The encoder's mirror with one more residual block a level; the output is not bounded.

    `up` is indexed by resolution like the encoder's `down` (0 is full resolution) and runs from its last
    entry to its first.

    Args: as for `Encoder`; `out_channels` are the channels of the output.

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
        out_channels: int = 3,
        z_channels: int,
        norm_groups: int = 32,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        width = ch * ch_mult[-1]
        self.conv_in = nn.Conv2d(z_channels, width, 3, padding=1)
        self.mid = Middle(width, norm_groups, dropout)
        levels: list[Level] = []
        for index in reversed(range(len(ch_mult))):
            attention = resolution // 2**index in attn_resolutions
            level = Level(width, ch * ch_mult[index], num_res_blocks + 1, attention, norm_groups, dropout)
            width = ch * ch_mult[index]
            if index > 0:
                level.upsample = Upsample(width)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out = group_norm(width, norm_groups)
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, z, h, w) to (B, out, h * f, w * f), f = 2 ** (levels - 1)."""
        h = maybe_checkpointed(self.mid, self.conv_in(z), self.checkpointing)
        for level in reversed(self.up):
            h = maybe_checkpointed(level, h, self.checkpointing)
            upsample: nn.Module | None = getattr(level, "upsample", None)
            if upsample is not None:
                h = upsample(h)
        images: Tensor = self.conv_out(F.silu(self.norm_out(h)))
        return images

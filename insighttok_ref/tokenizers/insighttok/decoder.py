"""Latents to images."""

from __future__ import annotations

from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok.blocks import Architecture, group_norm, maybe_checkpointed, upsample
from insighttok_ref.tokenizers.insighttok.norm_silu import norm_silu


class Decoder(nn.Module):
    """The encoder's mirror with one more residual block a level; the output is not bounded.

    `up` is indexed by resolution like the encoder's `down` (0 is full resolution) and runs from its last
    entry to its first.

    Args:
        plan: Widths and blocks.
        out_channels: Channels of the output.

    Source: InsightTok, Appendix B; layout of published VQGAN checkpoints.
    """

    def __init__(self, plan: Architecture, out_channels: int) -> None:
        super().__init__()
        self.checkpointing = plan.checkpointing
        width = plan.widths[-1]
        self.conv_in = nn.Conv2d(plan.z_channels, width, 3, padding=1)
        self.mid = plan.middle()
        self.up = nn.ModuleList()
        for number in reversed(range(len(plan.widths))):
            level, width = plan.level(number, width, plan.num_res_blocks + 1), plan.widths[number]
            level.upsample = upsample(width) if number else nn.Identity()
            self.up.insert(0, level)
        self.norm_out = group_norm(width, plan.norm_groups)
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, z, h, w) to (B, out, h * f, w * f), f = 2 ** (levels - 1)."""
        h = maybe_checkpointed(self.mid, self.conv_in(z), self.checkpointing)
        for level in reversed(self.up):
            h = level.get_submodule("upsample")(maybe_checkpointed(level, h, self.checkpointing))
        images: Tensor = self.conv_out(norm_silu(h, self.norm_out))
        return images

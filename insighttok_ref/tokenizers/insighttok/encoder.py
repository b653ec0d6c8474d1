"""Images to latents."""

from __future__ import annotations

from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok.blocks import Architecture, downsample, group_norm, maybe_checkpointed
from insighttok_ref.tokenizers.insighttok.norm_silu import norm_silu


class Encoder(nn.Module):
    """Levels of residual blocks, halving the sides between levels, then a middle and a 3x3 head.

    Args:
        plan: Widths and blocks.
        in_channels: Channels at the stem.

    Source: InsightTok, Appendix B; layout of published VQGAN checkpoints.
    """

    def __init__(self, plan: Architecture, in_channels: int) -> None:
        super().__init__()
        self.checkpointing = plan.checkpointing
        self.conv_in = nn.Conv2d(in_channels, plan.ch, 3, padding=1)
        self.down = nn.ModuleList()
        width = plan.ch
        for number in range(len(plan.widths)):
            level, width = plan.level(number, width, plan.num_res_blocks), plan.widths[number]
            last = number == len(plan.widths) - 1
            level.downsample = nn.Identity() if last else downsample(width)
            self.down.append(level)
        self.mid = plan.middle()
        self.norm_out = group_norm(width, plan.norm_groups)
        self.conv_out = nn.Conv2d(width, plan.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, z, H / f, W / f), f = 2 ** (levels - 1)."""
        h = self.conv_in(x)
        for level in self.down:
            h = level.get_submodule("downsample")(maybe_checkpointed(level, h, self.checkpointing))
        h = maybe_checkpointed(self.mid, h, self.checkpointing)
        latents: Tensor = self.conv_out(norm_silu(h, self.norm_out))
        return latents

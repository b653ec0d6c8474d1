"""Logos at a size: the edges and colours that a picture is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss_logo.edges import directions
from regionloss_logo.marks import Mark

#: How much darker or brighter a logo may be than its file.
GAINS = (0.4, 1.6)


@dataclass(frozen=True)
class Template:
    """A logo, turned, at a size.

    Args:
        edges: (2, h, w) directions of its edges, with `margin` pixels around it.
        colours: (3, h, w) in [0, 1].
        opacity: (h, w) in [0, 1].
        margin: Pixels around the logo.
    """

    edges: Tensor
    colours: Tensor
    opacity: Tensor
    margin: int

    def to(self, device: torch.device) -> Template:
        """Return the template on another device."""
        return Template(self.edges.to(device), self.colours.to(device), self.opacity.to(device), self.margin)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the logo in it."""
        height, width = self.opacity.shape
        return height - 2 * self.margin, width - 2 * self.margin


def template_of(mark: Mark, size: int, degrees: float = 0.0) -> Template:
    """Return a logo, turned against the clock, at the size whose square has its box's area."""
    pixels = turned(premultiplied(mark.pixels), degrees)
    height, width = pixels.shape[1:]
    scale = size / math.sqrt(height * width)
    sides = [max(4, round(height * scale)), max(4, round(width * scale))]
    margin = max(2, size // 12)
    small = F.interpolate(pixels[None], sides, mode="bilinear", antialias=True)
    padded = F.pad(small, (margin,) * 4)
    opacity = padded[0, 3]
    return Template(directions(padded)[0], padded[0, :3] / opacity.clamp(min=1e-3), opacity, margin)


def premultiplied(pixels: Tensor) -> Tensor:
    """Return (4, h, w) with its colours times its opacity: what is transparent has none."""
    return torch.cat([pixels[:3] * pixels[3:], pixels[3:]])


def turned(pixels: Tensor, degrees: float) -> Tensor:
    """Return (4, h, w) turned against the clock, cut to what can be seen."""
    if degrees == 0:
        return pixels
    height, width = pixels.shape[1:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows, columns = (math.ceil(abs(a * cos) + abs(b * sin)) for a, b in ((height, width), (width, height)))
    back = pixels.new_tensor(
        [[cos * columns / width, -sin * rows / width, 0], [sin * columns / height, cos * rows / height, 0]]
    )
    grid = F.affine_grid(back[None], [1, 4, rows, columns], align_corners=False)
    canvas = F.grid_sample(pixels[None], grid, align_corners=False)[0]
    seen = canvas[3] > 0.1
    ys, xs = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    return canvas[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]


def fit(patch: Tensor, template: Template) -> float:
    """Return the share of a patch's variance that the logo explains, in [0, 1].

    Inside, colours are `gain * colour + offset` for one gain and offset (light); what explains nothing is the mean.

    Args:
        patch: (3, h, w) of the picture in [0, 1], under the template.
        template: Template of the logo.
    """
    weights = (template.opacity > 0.95).float()
    count = (3 * weights.sum()).clamp(min=1)
    colours = (template.colours - (template.colours * weights).sum() / count) * weights
    seen = (patch - (patch * weights).sum() / count) * weights
    gain = ((colours * seen).sum() / colours.square().sum().clamp(min=1e-6)).clamp(*GAINS)
    unexplained = (seen - gain * colours).square().sum() / count
    whole = (patch - patch.mean((1, 2), keepdim=True)).square().mean().clamp(min=1e-6)
    return float((1 - unexplained / whole).clamp(min=0))

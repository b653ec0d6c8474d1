"""Random doubles of taming's and LlamaGen's published VQGANs, and their forward pass as plain functions.

Written from the description of the published models: 3x3 convolutions, group norms of 32 groups with eps 1e-6, swish,
zero-padding right and bottom before a stride-2 convolution, single-head attention scaled by 1/sqrt(c), nearest
upsampling; attention after each block of the last level. Nothing of `insighttok_ref` is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CH, MULT, BLOCKS, Z, CODES = 32, (1, 2, 2), 2, 16, 24
Weights = dict[str, Tensor]


class Maker:
    """Collects the random tensors of a layout."""

    def __init__(self, seed: int) -> None:
        self.random, self.weights = torch.Generator().manual_seed(seed), Weights()

    def conv(self, name: str, a: int, b: int, k: int) -> None:
        self.weights[f"{name}.weight"] = torch.randn(b, a, k, k, generator=self.random) / (a * k * k) ** 0.5
        self.weights[f"{name}.bias"] = 0.1 * torch.randn(b, generator=self.random)

    def norm(self, name: str, a: int) -> None:
        self.weights[f"{name}.weight"] = 1 + 0.2 * torch.randn(a, generator=self.random)
        self.weights[f"{name}.bias"] = 0.1 * torch.randn(a, generator=self.random)

    def block(self, name: str, a: int, b: int) -> None:
        self.norm(f"{name}.norm1", a)
        self.conv(f"{name}.conv1", a, b, 3)
        self.norm(f"{name}.norm2", b)
        self.conv(f"{name}.conv2", b, b, 3)
        if a != b:
            self.conv(f"{name}.nin_shortcut", a, b, 1)

    def attention(self, name: str, a: int) -> None:
        self.norm(f"{name}.norm", a)
        for part in ("q", "k", "v", "proj_out"):
            self.conv(f"{name}.{part}", a, a, 1)


def names(style: str, side: str, level: int) -> tuple[str, str]:
    """Prefix of a level, and what its residual blocks are called; level 0 is full resolution."""
    if style == "taming":
        return f"{side}.{'down' if side == 'encoder' else 'up'}.{level}", "block"
    return f"{side}.conv_blocks.{level if side == 'encoder' else len(MULT) - 1 - level}", "res"


def middle(style: str) -> tuple[str, str, str]:
    return ("block_1", "attn_1", "block_2") if style == "taming" else ("0", "1", "2")


def double(style: str, code_dim: int, seed: int = 0) -> Weights:
    """A random state dict with the published names."""
    make, low = Maker(seed), CH * MULT[-1]
    for side in ("encoder", "decoder"):
        down = side == "encoder"
        width = CH if down else low
        make.conv(f"{side}.conv_in", *((3, CH) if down else (Z, low)), 3)
        for level in range(len(MULT)) if down else reversed(range(len(MULT))):
            prefix, block = names(style, side, level)
            for i in range(BLOCKS + (not down)):
                make.block(f"{prefix}.{block}.{i}", width, CH * MULT[level])
                width = CH * MULT[level]
                if level == len(MULT) - 1:
                    make.attention(f"{prefix}.attn.{i}", width)
            if down and level < len(MULT) - 1:
                make.conv(f"{prefix}.downsample.conv", width, width, 3)
            if not down and level > 0:
                make.conv(f"{prefix}.upsample.conv", width, width, 3)
        first, attention, second = middle(style)
        make.block(f"{side}.mid.{first}", low, low)
        make.attention(f"{side}.mid.{attention}", low)
        make.block(f"{side}.mid.{second}", low, low)
        make.norm(f"{side}.norm_out", width)
        make.conv(f"{side}.conv_out", width, Z if down else 3, 3)
    make.conv("quant_conv", Z, code_dim, 1)
    make.conv("post_quant_conv", code_dim, Z, 1)
    make.weights["quantize.embedding.weight"] = torch.randn(CODES, code_dim, generator=make.random)
    if style == "llamagen":
        make.weights["quantize.codebook_used"] = torch.zeros(65536)
    return make.weights


def forward(w: Weights, style: str, x: Tensor, l2_norm: bool = True) -> tuple[Tensor, Tensor]:
    """Indices (B, h * w) and reconstruction of the published model; `l2_norm` is LlamaGen's option."""
    h = conv(w, "quant_conv", run(w, style, "encoder", x), 0)
    codes, z = w["quantize.embedding.weight"], h.permute(0, 2, 3, 1)
    if style == "llamagen" and l2_norm:
        codes, z = (v / v.norm(dim=-1, keepdim=True) for v in (codes, z))
    ids = (z.unsqueeze(-2) - codes).square().sum(-1).argmin(-1)
    return ids.flatten(1), run(w, style, "decoder", conv(w, "post_quant_conv", codes[ids].permute(0, 3, 1, 2), 0))


def run(w: Weights, style: str, side: str, h: Tensor) -> Tensor:
    down = side == "encoder"
    h = conv(w, f"{side}.conv_in", h)
    h = h if down else mid(w, style, side, h)
    for level in range(len(MULT)) if down else reversed(range(len(MULT))):
        prefix, block = names(style, side, level)
        for i in range(BLOCKS + (not down)):
            h = residual(w, f"{prefix}.{block}.{i}", h)
            h = attention(w, f"{prefix}.attn.{i}", h) if level == len(MULT) - 1 else h
        if down and level < len(MULT) - 1:
            h = F.conv2d(F.pad(h, (0, 1, 0, 1)), *pair(w, f"{prefix}.downsample.conv"), stride=2)
        if not down and level > 0:
            h = conv(w, f"{prefix}.upsample.conv", h.repeat_interleave(2, 2).repeat_interleave(2, 3))
    h = mid(w, style, side, h) if down else h
    return conv(w, f"{side}.conv_out", swish(norm(w, f"{side}.norm_out", h)))


def mid(w: Weights, style: str, side: str, h: Tensor) -> Tensor:
    first, attended, second = (f"{side}.mid.{name}" for name in middle(style))
    return residual(w, second, attention(w, attended, residual(w, first, h)))


def pair(w: Weights, name: str) -> tuple[Tensor, Tensor]:
    return w[f"{name}.weight"], w[f"{name}.bias"]


def conv(w: Weights, name: str, h: Tensor, padding: int = 1) -> Tensor:
    return F.conv2d(h, *pair(w, name), padding=padding)


def norm(w: Weights, name: str, h: Tensor) -> Tensor:
    grouped = h.unflatten(1, (32, -1))
    mean = grouped.mean((2, 3, 4), keepdim=True)
    variance = grouped.var((2, 3, 4), keepdim=True, unbiased=False)
    weight, bias = (v[:, None, None] for v in pair(w, name))
    return ((grouped - mean) / (variance + 1e-6).sqrt()).flatten(1, 2) * weight + bias


def swish(h: Tensor) -> Tensor:
    return h * torch.sigmoid(h)


def residual(w: Weights, name: str, x: Tensor) -> Tensor:
    h = conv(w, f"{name}.conv1", swish(norm(w, f"{name}.norm1", x)))
    h = conv(w, f"{name}.conv2", swish(norm(w, f"{name}.norm2", h)))
    return h + (conv(w, f"{name}.nin_shortcut", x, 0) if f"{name}.nin_shortcut.weight" in w else x)


def attention(w: Weights, name: str, x: Tensor) -> Tensor:
    h = norm(w, f"{name}.norm", x)
    q, k, v = (conv(w, f"{name}.{part}", h, 0).flatten(2) for part in "qkv")
    mixing = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5, -1)
    return x + conv(w, f"{name}.proj_out", torch.einsum("bij,bcj->bci", mixing, v).reshape(x.shape), 0)

"""The InsightTok tokenizer: encoder, quantiser and decoder in one module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insighttok_ref.quantizers.build import build_quantizer, named
from insighttok_ref.tokenizers.base import Tokenizer, TokenizerOutput
from insighttok_ref.tokenizers.insighttok.blocks import Architecture
from insighttok_ref.tokenizers.insighttok.decoder import Decoder
from insighttok_ref.tokenizers.insighttok.encoder import Encoder
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected

PRESETS: dict[str, dict[str, Any]] = {
    "insighttok-426m": {"ch": 256},
    "insighttok-111m": {"ch": 128},
    "insighttok-72m": {"ch": 128, "num_res_blocks": 2},
    "miniature": {
        "ch": 24,
        "ch_mult": (1, 2),
        "num_res_blocks": 1,
        "attn_resolutions": (),
        "resolution": 48,
        "z_channels": 32,
        "code_dim": 32,
        "codebook_size": 512,
        "norm_groups": 8,
        "patch_size": 2,
        "channels_last": True,
        "quantizer": {"init": "data", "reset_restarted": True},
    },
}


class InsightTokenizer(Tokenizer):
    """The convolutional VQ tokenizer; the defaults are the paper's 426M model.

    State-dict keys, shapes and dtypes are those of the published checkpoint.

    Args:
        ch: Base width of encoder and decoder.
        ch_mult: Width multiplier of each level; the sides shrink by `patch_size * 2 ** (levels - 1)`.
        num_res_blocks: Residual blocks a level (one more in the decoder).
        attn_resolutions: Nominal sides at which blocks are followed by attention.
        resolution: Nominal side of the images; places attention, does not limit the input.
        z_channels: Channels between encoder, quantiser and decoder.
        codebook_size: Number of codes K.
        code_dim: Length d of a code.
        norm_groups: Groups of every group norm; must divide every width.
        dropout: Share of activations that are dropped in residual blocks, in [0, 1).
        patch_size: Side of the patches that are folded into channels before the encoder and out of them after the
            decoder; above 1 much cheaper, and no longer the published layout.
        quantizer: `use`, the name of a registered quantizer (`ema` where it is absent), and its options.
        checkpointing: Whether to recompute activations in backward (less memory, a third more time).
        channels_last: Whether to keep weights and activations in that memory format (often faster).

    Raises:
        InputError: An option is unknown or does not fit the others.

    Source: InsightTok, Section 3 and Appendix B; layout of the published code.
    Example:
        >>> model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=16, code_dim=8,
        ...                          codebook_size=64)
        >>> ids = model.encode(torch.zeros(1, 3, 32, 48))
        >>> model.decode(ids, model.grid((32, 48))).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(
        self,
        *,
        ch: int = 256,
        ch_mult: Sequence[int] = (1, 1, 2, 2, 4),
        num_res_blocks: int = 4,
        attn_resolutions: Sequence[int] = (16,),
        resolution: int = 256,
        z_channels: int = 256,
        codebook_size: int = 16384,
        code_dim: int = 256,
        norm_groups: int = 32,
        dropout: float = 0.0,
        patch_size: int = 1,
        quantizer: Mapping[str, Any] | None = None,
        checkpointing: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        _check_widths(ch, ch_mult, norm_groups)
        layout: dict[str, Any] = {
            "ch": ch,
            "ch_mult": tuple(ch_mult),
            "num_res_blocks": num_res_blocks,
            "attn_resolutions": tuple(attn_resolutions),
            "z_channels": z_channels,
            "norm_groups": norm_groups,
            "dropout": dropout,
        }
        options = named(quantizer or {})
        self.config: dict[str, Any] = {
            **layout,
            "resolution": resolution,
            "codebook_size": codebook_size,
            "code_dim": code_dim,
            "patch_size": patch_size,
            "quantizer": options,
        }
        self.patch_size, self.channels_last = patch_size, channels_last
        self.downsampling = patch_size * 2 ** (len(ch_mult) - 1)
        pixels = 3 * patch_size**2
        plan = Architecture(**layout, resolution=resolution // patch_size, checkpointing=checkpointing)
        self.encoder, self.decoder = Encoder(plan, pixels), Decoder(plan, pixels)
        self.quantize = build_quantizer(codebook_size, code_dim, options)
        self.quant_conv = nn.Conv2d(z_channels, code_dim, 1)
        self.post_quant_conv = nn.Conv2d(code_dim, z_channels, 1)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> InsightTokenizer:
        """Build a named model: the paper's 426M, 111M or 72M, or one for 48-pixel images on a CPU."""
        if name not in PRESETS:
            raise UnknownNameError(f"no tokenizer preset is named {name!r}. {did_you_mean(name, PRESETS)}")
        return cls(**{**PRESETS[name], **overrides})

    @property
    def last_layer(self) -> Tensor:
        """The weight whose gradients an adaptive loss weight compares."""
        return self.decoder.conv_out.weight

    @property
    def layout(self) -> Mapping[str, Any]:
        """Options that decide, beside the weights, ids and images: all but the quantizer's way of learning."""
        deciding = {key: value for key, value in self.config.items() if key not in ("quantizer", "dropout")}
        use = {"quantizer": self.config["quantizer"]["use"]} if "use" in self.config["quantizer"] else {}
        return {**deciding, **self.quantize.layout, **use}

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of tokens for an image of (H, W) pixels."""
        height, width = image_size
        factor = self.downsampling
        if height % factor or width % factor or not height or not width:
            fits = [max(factor, round(side / factor) * factor) for side in (height, width)]
            raise InputError(
                expected(
                    "images",
                    f"sides that are multiples of {factor}",
                    f"{height} x {width}",
                    f"Resize, crop or pad, for instance to {fits[0]} x {fits[1]}.",
                )
            )
        return height // factor, width // factor

    def latents(self, x: Tensor) -> Tensor:
        """Return what is quantised, (B, d, h, w), of images (B, 3, H, W) in [-1, 1]."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise InputError(expected("images", "a shape (B, 3, H, W)", str(tuple(x.shape))))
        self.grid((x.shape[2], x.shape[3]))
        if self.patch_size > 1:
            x = F.pixel_unshuffle(x, self.patch_size)
        latents: Tensor = self.quant_conv(self.encoder(self._formatted(x)))
        return latents

    def decode_latents(self, z_q: Tensor) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of quantised latents (B, d, h, w)."""
        return self.unfolded(self.decoder(self.widened(z_q)))

    def widened(self, z_q: Tensor) -> Tensor:
        """Return what the decoder takes, (B, z, h, w), of quantised latents (B, d, h, w)."""
        widened: Tensor = self.post_quant_conv(self._formatted(z_q))
        return widened

    def unfolded(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) of what the decoder gives, which may be patches in channels."""
        return F.pixel_shuffle(images, self.patch_size) if self.patch_size > 1 else images

    def forward(self, x: Tensor) -> TokenizerOutput:
        """Reconstruct images.

        Args:
            x: (B, 3, H, W) in [-1, 1], sides multiples of `downsampling`.

        Returns:
            reconstruction (B, 3, H, W), not clamped; commitment loss, 0-d; ids (B, h * w); latents and quantized
            (B, d, h, w).
        """
        z = self.latents(x)
        z_q, commit_loss, ids = self.quantize(z)
        return TokenizerOutput(self.decode_latents(z_q), commit_loss, ids, z, z_q)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Return ids (B, h * w), row by row, of images (B, 3, H, W) in [-1, 1]; nothing is learnt."""
        return self.quantize.assign(self.latents(x))

    def decode(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of ids (B, h * w) on a grid (h, w)."""
        check_ids(ids, grid, self.codebook_size)
        return self.decode_latents(self.quantize.lookup(ids, grid))

    def set_trainable(self, parts: Iterable[str]) -> None:
        """Let only these parts learn: "encoder" (with quant_conv), "quantizer", "decoder" (with its conv).

        Raises:
            UnknownNameError: There is no such part.
            InputError: Nothing would learn by gradients.
        """
        known: dict[str, list[nn.Module]] = {
            "encoder": [self.encoder, self.quant_conv],
            "quantizer": [self.quantize],
            "decoder": [self.post_quant_conv, self.decoder],
        }
        wanted = set(parts)
        for name in sorted(wanted - set(known)):
            raise UnknownNameError(f"no part of the tokenizer is named {name!r}. {did_you_mean(name, known)}")
        weights = (weight for name in wanted for module in known[name] for weight in module.parameters())
        if next(weights, None) is None:
            what = "'encoder' or 'decoder' among the parts that learn"
            came = ", ".join(map(repr, sorted(wanted))) + " alone" if wanted else "none"
            raise InputError(expected("set_trainable", what, came, "A codebook learns beside them, not by itself."))
        for name, modules in known.items():
            for module in modules:
                module.requires_grad_(name in wanted)
        self.quantize.frozen = "quantizer" not in wanted

    def begin(self, images: Iterable[Tensor]) -> None:
        """Let the codes begin where they want to, given a step's images."""
        self.quantize.begin(map(self.latents, images))

    def pure_parts(self) -> tuple[nn.Module, ...]:
        """Return encoder and decoder; what lies between them gathers statistics."""
        return self.encoder, self.decoder

    def _formatted(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x


def check_ids(ids: Tensor, grid: tuple[int, int], codebook_size: int) -> None:
    """Raise InputError for ids that are not (B, h * w) on a grid (h, w), or not those of so many codes."""
    if ids.ndim != 2 or ids.shape[1] != grid[0] * grid[1]:
        wanted = f"a shape (B, {grid[0] * grid[1]}) for a grid of {grid[0]} x {grid[1]}"
        raise InputError(expected("ids", wanted, str(tuple(ids.shape))))
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= codebook_size):
        wanted = f"values from 0 to {codebook_size - 1}"
        raise InputError(expected("ids", wanted, f"{int(ids.min())} to {int(ids.max())}"))


def _check_widths(ch: int, ch_mult: Sequence[int], norm_groups: int) -> None:
    if not ch_mult:
        raise InputError(expected("ch_mult", "at least one multiplier", "none"))
    widths = sorted({ch, *(ch * factor for factor in ch_mult)})
    bad = [width for width in widths if width % norm_groups]
    if bad:
        raise InputError(
            expected("norm_groups", f"a divisor of every width {widths}", str(norm_groups), "Try 8, or 4.")
        )

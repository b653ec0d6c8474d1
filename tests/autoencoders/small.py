"""Small autoencoders of every class that people name, with random weights."""

from __future__ import annotations

from typing import Any

import torch

KL = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
WAN = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [True]}
CODES = {**KL, "num_vq_embeddings": 32, "vq_embed_dim": 4, "latent_channels": 4}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd": ("AutoencoderKL", KL),
    "plain": ("AutoencoderKL", {**KL, "mid_block_add_attention": False}),
    "flux": ("AutoencoderKL", {**KL, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}),
    "flux2": ("AutoencoderKLFlux2", {**KL, "latent_channels": 4}),
    "qwen": ("AutoencoderKLQwenImage", WAN),
    "wan": ("AutoencoderKLWan", {**WAN, "scale_factor_spatial": 2}),
    "wan2.2": (
        "AutoencoderKLWan",
        {
            **WAN,
            "dim_mult": [1, 2, 2],
            "temperal_downsample": [False, True],
            "is_residual": True,
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
            "scale_factor_spatial": 8,
        },
    ),
    "hunyuan": (
        "AutoencoderKLHunyuanImage",
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 8,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "spatial_compression_ratio": 2,
            "sample_size": 32,
            "scaling_factor": 0.5,
        },
    ),
    "dc": (
        "AutoencoderDC",
        {
            "latent_channels": 4,
            "attention_head_dim": 4,
            "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "EfficientViTBlock"),
            "encoder_block_out_channels": (8, 16),
            "decoder_block_out_channels": (8, 16),
            "encoder_layers_per_block": (1, 1),
            "decoder_layers_per_block": (1, 1),
            "encoder_qkv_multiscales": ((), (5,)),
            "decoder_qkv_multiscales": ((), (5,)),
        },
    ),
    "tiny": (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": (8, 8),
            "decoder_block_out_channels": (8, 8),
            "num_encoder_blocks": (1, 1),
            "num_decoder_blocks": (1, 1),
        },
    ),
    "rae": (
        "AutoencoderRAE",
        {
            "encoder_type": "mae",
            "encoder_hidden_size": 64,
            "encoder_patch_size": 4,
            "encoder_num_hidden_layers": 1,
            "decoder_hidden_size": 16,
            "decoder_num_hidden_layers": 1,
            "decoder_num_attention_heads": 2,
            "decoder_intermediate_size": 32,
            "patch_size": 4,
            "encoder_input_size": 16,
        },
    ),
    "vq": ("VQModel", CODES),
    "movq": (
        "VQModel",
        {**CODES, "block_out_channels": (32, 64), "norm_type": "spatial", "lookup_from_codebook": True},
    ),
}


def model(name: str) -> Any:
    """Return one of them, the same each time."""
    import diffusers

    kind, settings = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(diffusers, kind)(**settings).eval()


def images() -> torch.Tensor:
    """Return images (2, 3, 16, 16) in [-1, 1] that every one of them takes."""
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1

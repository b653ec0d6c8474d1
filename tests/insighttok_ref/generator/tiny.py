"""A Janus of `transformers` with random weights, the same weights in ours, and prompts."""

from __future__ import annotations

import torch
from transformers import JanusConfig, JanusForConditionalGeneration, JanusVisionConfig, JanusVQVAEConfig

from insighttok_ref.generator.janus import from_janus, shape_of
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptBatch, PromptFormat

CODES, DIM, WIDTH, SIDE = 96, 8, 48, 4
CAPTIONS = ["a red door", "bold, clear text that reads: HELLO", "é"]
SHAPE = {
    "vocab_size": 260,
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 160,
    "initializer_range": 0.2,
    "bos_token_id": 256,
    "pad_token_id": 258,
}


def janus(seed: int = 0) -> JanusForConditionalGeneration:
    torch.manual_seed(seed)
    vision = JanusVisionConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=4 * SIDE,
        patch_size=4,
        projection_dim=WIDTH,
        num_image_tokens=SIDE**2,
    )
    codes = JanusVQVAEConfig(
        embed_dim=DIM,
        num_embeddings=CODES,
        latent_channels=8,
        base_channels=32,
        channel_multiplier=[1, 1],
        num_res_blocks=1,
        projection_dim=WIDTH,
        image_token_embed_dim=WIDTH,
        num_patches=SIDE,
    )
    config = JanusConfig(
        text_config={"model_type": "llama", **SHAPE}, vision_config=vision, vq_config=codes, tie_word_embeddings=False
    )
    model = JanusForConditionalGeneration(config).eval()
    for part in (model.model.generation_head, model.model.generation_aligner, model.model.generation_embeddings):
        for weight in part.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return model


def ours(theirs: JanusForConditionalGeneration) -> InsightAR:
    tensors, _ = from_janus(theirs.state_dict())
    model = InsightAR(**shape_of(theirs.config.to_dict(), tensors))
    model.load_state_dict(tensors)
    return model.eval()


def prompts(captions: list[str] = CAPTIONS) -> PromptBatch:
    return PromptFormat.of_bytes().encode(captions)


def image_ids(rows: int, count: int = SIDE**2, seed: int = 1) -> torch.Tensor:
    return torch.randint(CODES, (rows, count), generator=torch.Generator().manual_seed(seed))

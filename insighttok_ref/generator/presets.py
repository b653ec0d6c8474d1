"""Shapes of language models, in the words of `transformers.LlamaConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Shapes by name: those of DeepSeek-LLM 7B (InsightAR, Janus-Pro-7B) and of Janus-Pro-1B; `tiny` reads bytes.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "7B": {
        "vocab_size": 102400,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 30,
        "num_attention_heads": 32,
        "max_position_embeddings": 4096,
    },
    "1B": {
        "vocab_size": 102400,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "max_position_embeddings": 4096,
    },
    "tiny": {
        "vocab_size": 260,
        "hidden_size": 128,
        "intermediate_size": 344,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 1536,
    },
}

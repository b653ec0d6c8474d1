"""InsightAR: a Llama that reads a caption and writes the ids of an image, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from insighttok_ref.generator.presets import PRESETS
from insighttok_ref.generator.prompts import PromptBatch
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected, reason_of


class KeyValues(Protocol):
    """What remembers keys and values of earlier tokens; `transformers` calls it in each layer."""

    def update(self, keys: Tensor, values: Tensor, layer: int, **options: Any) -> tuple[Tensor, Tensor]:
        """Add (B, heads, n, d) of a layer; return all that this layer's queries may look at."""
        ...


class InsightAR(nn.Module):
    """Codebook vectors -> adapter -> language model -> logits over the codes; of the tokenizer it has the codes alone.

    The language model's own text head is kept for the exchange of files. It is neither evaluated nor trained.

    Args:
        shape: Shape of the language model, as `transformers.LlamaConfig` takes it.
        codes: Number K of ids of the image tokenizer.
        code_dim: Length d of its codebook vectors.

    Source: InsightTok, section 4; Janus-Pro (arXiv 2501.17811), whose adapter and head have these shapes.
    """

    #: The weights that are neither evaluated nor trained.
    TEXT_HEAD = "language_model.lm_head.weight"

    def __init__(self, shape: Mapping[str, Any], codes: int, code_dim: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"shape": dict(shape), "codes": codes, "code_dim": code_dim}
        try:
            self.language_model = LlamaForCausalLM(LlamaConfig(**shape))
        except Exception as error:  # of transformers, and of the hub's checks
            got = f"what it refuses ({reason_of(error)})"
            raise InputError(expected("shape", "options of transformers.LlamaConfig", got)) from error
        if not self.tied:
            self.language_model.lm_head.requires_grad_(False)
        width = self.language_model.config.hidden_size
        self.codebook = nn.Embedding(codes, code_dim)
        self.adapter = nn.Sequential(nn.Linear(code_dim, width), nn.GELU(), nn.Linear(width, width))
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, codes))

    @classmethod
    def from_preset(cls, preset: str, codebook: Tensor, **shape: Any) -> Self:
        """Return a new generator for a tokenizer.

        Args:
            preset: "7B", "1B" or "tiny".
            codebook: Vectors (K, d) of the tokenizer, from which those of the generator begin; on the meta device
                their number and length alone.
            **shape: What is otherwise than in the preset.

        Raises:
            UnknownNameError: There is no such preset.
        """
        if preset not in PRESETS:
            raise UnknownNameError(f"no generator preset is named '{preset}'. {did_you_mean(preset, PRESETS)}")
        return cls.for_codebook({**PRESETS[preset], **shape}, codebook)

    @classmethod
    def for_codebook(cls, shape: Mapping[str, Any], codebook: Tensor) -> Self:
        """Return a new generator of a shape whose codes begin as those of a tokenizer, vectors (K, d)."""
        model = cls(shape, *codebook.shape)
        if not (model.codebook.weight.is_meta or codebook.is_meta):
            model.codebook.weight.data.copy_(codebook)
        return model

    @property
    def tied(self) -> bool:
        """Whether the text head has the weights of the text embeddings."""
        return bool(self.language_model.config.tie_word_embeddings)

    @property
    def codes(self) -> int:
        """The number K of ids."""
        return self.codebook.num_embeddings

    @property
    def context(self) -> int:
        """The most tokens, those of the caption and those of the image together, that the model can look at."""
        return int(self.language_model.config.max_position_embeddings)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Return vectors (B, n, width) of text ids (B, n)."""
        vectors: Tensor = self.language_model.get_input_embeddings()(ids)
        return vectors

    def embed_image(self, ids: Tensor) -> Tensor:
        """Return vectors (B, n, width) of image ids (B, n)."""
        vectors: Tensor = self.adapter(self.codebook(ids))
        return vectors

    def hidden(
        self, vectors: Tensor, mask: Tensor | None, positions: Tensor | None = None, cache: KeyValues | None = None
    ) -> Tensor:
        """Return the language model's last states (B, n, width); the text head is left out.

        Args:
            vectors: (B, n, width).
            mask: (B, n), 0 where a row has only padding; or (B, 1, n, m): which of m keys a query looks at.
            positions: (B, n), counted from each row's first token.
            cache: Remembers keys and values.
        """
        model = self.language_model.model
        states: Tensor = model(
            inputs_embeds=vectors, attention_mask=mask, position_ids=positions, cache=cache, use_cache=False
        ).last_hidden_state
        return states

    def forward(self, prompts: PromptBatch, ids: Tensor) -> Tensor:
        """Return logits (B, n, K): what each of n image ids is, given the caption and the ids before it."""
        vectors = torch.cat([self.embed_text(prompts.ids), self.embed_image(ids[:, :-1])], 1)
        slots = torch.arange(vectors.shape[1], device=ids.device)
        mask = slots >= prompts.pads[:, None]
        positions = (slots - prompts.pads[:, None]).clamp(min=0)
        states = self.hidden(vectors, mask.long(), positions)
        logits: Tensor = self.head(states[:, prompts.ids.shape[1] - 1 :])
        return logits

    def loss(self, prompts: PromptBatch, ids: Tensor) -> Tensor:
        """Return the mean cross-entropy of image ids (B, n), nats a token; the caption's tokens are not asked for."""
        return F.cross_entropy(self(prompts, ids).float().flatten(0, 1), ids.flatten())

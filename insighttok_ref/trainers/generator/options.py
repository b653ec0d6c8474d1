"""The schema of the trainer's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from insighttok_ref.data.options import SourceName
from insighttok_ref.schema import Strict
from insighttok_ref.trainers.tokenizer.options import Name
from insighttok_ref.training.engines import ComputeOptions
from regionloss.errors import expected

#: Parts of the model, by what they are called in it.
Learning = Literal["codebook", "adapter", "head", "language_model"]


class GeneratorOptions(Strict):
    """The model that learns to write tokens; its codebook begins as the tokenizer's.

    Args:
        from_: Folder of a Llama as transformers writes it, from which the language model begins: its shape, its text
            embeddings, its layers and norms, and its text tokenizer. Adapter and head are new. None begins untrained.
        preset: Shape of the language model: "7B" (DeepSeek-LLM, as in the paper), "1B" or "tiny". With `from` the
            folder says it, and another preset than "tiny" must be its shape.
        shape: What is otherwise than in the preset or the folder, in the words of `transformers.LlamaConfig`.
        text: Tokenizer of captions, a `tokenizer.json` of Hugging Face that has the tokens of the beginning, of the
            start of an image and of padding; bytes, if unsaid. With `from`, the folder's; what it lacks is added.
        checkpointing: Whether to compute activations again in backward: less memory, a third more time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=False, validate_by_alias=True)

    from_: Path | None = Field(default=None, alias="from")
    preset: Literal["7B", "1B", "tiny"] = "tiny"
    shape: Mapping[str, Any] = {}
    text: Path | None = None
    checkpointing: bool = False


class TokensOptions(Strict):
    """One source of tokens.

    Args:
        tokens: Folder that `regionloss tokenize` wrote; any address that fsspec opens.
        share: Its share of the images, any scale.
        test: Images that are kept from training, evenly over the source, to measure the loss on.
        unseen: Captions that are kept from training with all their images, to measure it on words that were not seen.
    """

    tokens: str
    share: PositiveFloat = 1.0
    test: NonNegativeInt = 0
    unseen: NonNegativeInt = 0


class TokenDataOptions(Strict):
    """What is learnt from.

    Args:
        tokenizer: File of the tokenizer whose tokens they are; it goes along with the generator.
        sources: Sources of tokens by name.
        caption_dropout: Share of the images whose caption is left out, for guidance.
    """

    tokenizer: Path
    sources: Annotated[Mapping[SourceName, TokensOptions], Field(min_length=1)]
    caption_dropout: Annotated[float, Field(ge=0, le=1)] = 0.1


class GeneratorPhase(Strict):
    """One phase: its length, its constant learning rate, and the parts that learn.

    Args:
        name: Name in logs and folders.
        steps: Number of optimizer steps.
        batch_size: Images a step, over all ranks.
        lr: Learning rate after the warm-up, constant.
        warmup: Share of the steps over which the learning rate rises.
        train: Parts of the model that learn.
    """

    name: Name
    steps: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    train: Annotated[tuple[Learning, ...], Field(min_length=1)] = ("adapter", "head", "language_model")


class WrittenOptions(Strict):
    """What is measured at the end: whether words that are asked for can be read in what is drawn.

    Asked for are captions of the images that sources keep from training, `test` and `unseen` apart.

    Args:
        judges: The reader, by the kind of region that it reads: `{text: text/ppocr-v6}`. Without one nothing is drawn.
        caption: What captions look like, with `{words}` where the words stand that images are to show.
        images: Most images that are drawn of each, a caption after the other.
        guidance: Weight of the caption.
        temperature: Divides the logits; 0 takes the likeliest code.
        top_k: How many codes a token is drawn from; all, if unsaid.
        crops: Most images that the report shows.
    """

    judges: Mapping[Literal["text"], str] = {}
    caption: str = "{words}"
    images: PositiveInt = 100
    guidance: float = 1.0
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_k: PositiveInt | None = None
    crops: NonNegativeInt = 200

    @field_validator("caption")
    @classmethod
    def _has_words(cls, caption: str) -> str:
        if "{words}" not in caption:
            raise ValueError(f"expected a text with {{words}}, what images show, got '{caption}'")
        return caption


class GeneratorEngineOptions(ComputeOptions):
    """Where and how the training of a generator computes.

    At `zero_stage` 3 DeepSpeed shards the weights, too: no device ever holds them all, and a checkpoint goes on with
    any number of processes. With `bf16` they are then bfloat16, beside a float32 copy that the optimizer steps.

    Args:
        offload_optimizer: Whether the optimizer's state lies, and steps, in the CPU's memory; with weights that are
            sharded.
    """

    STAGES = (0, 1, 2, 3)
    UNSHARDED = "DeepSpeed has no other stage."

    zero_stage: int = 2
    offload_optimizer: bool = False

    @model_validator(mode="after")
    def _offloads(self) -> Self:
        if self.offload_optimizer and not self.sharded:
            advice = "Say name: deepspeed and zero_stage: 3."
            got = f"the engine '{self.name}' at stage {self.zero_stage}"
            raise ValueError(expected("offload_optimizer", "weights that are sharded", got, advice))
        return self

    @property
    def decided(self) -> dict[str, Any]:
        """What the recipe decides in the words of DeepSpeed, whatever the phase."""
        offload = {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}} if self.offload_optimizer else {}
        return {**super().decided, **offload}

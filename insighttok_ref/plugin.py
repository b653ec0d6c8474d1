"""The hooks of the reference build and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterTarget


@hookimpl
def register_trainers(register: RegisterTarget) -> None:
    """The trainer of the InsightTok tokenizer, also under the earlier name of a part of it, until 0.3."""
    register(
        "comparison",
        "insighttok_ref.trainers.tokenizer.trainer:InsightTok",
        summary="the trainer `insighttok` under an earlier name, which recipes may say until 0.3",
        extra="regionloss[ref]",
    )
    register(
        "insighttok",
        "insighttok_ref.trainers.tokenizer.trainer:InsightTok",
        summary="the InsightTok tokenizer in phases, arms and a report if asked for, on one CPU or many GPUs",
        extra="regionloss[ref,data]",
    )


@hookimpl
def register_tokenizers(register: RegisterTarget) -> None:
    """Tokenizers that the trainers train."""
    register(
        "insighttok",
        "insighttok_ref.tokenizers.insighttok.model:InsightTokenizer",
        summary="the convolutional tokenizer of InsightTok",
        extra="regionloss[ref]",
    )


@hookimpl
def register_autoencoders(register: RegisterTarget) -> None:
    """Tokenizer files, as what is evaluated."""
    register(
        "tokenizer-file",
        "insighttok_ref.tokenizers.insighttok.autoencoder:TokenizerFile",
        summary="a tokenizer of ours, of the published InsightTok, of taming or of LlamaGen",
        extra="regionloss[ref]",
    )


@hookimpl
def register_quantizers(register: RegisterTarget) -> None:
    """Quantizers of tokenizers."""
    register(
        "ema",
        "insighttok_ref.quantizers.ema:EMAQuantizer",
        summary="a codebook that follows its tokens by moving averages, dead codes restarted (InsightTok)",
        extra="regionloss[ref]",
    )
    register(
        "fsq",
        "insighttok_ref.quantizers.fsq:FSQuantizer",
        summary="finite scalar quantization: every channel rounded to a few levels, nothing learnt",
        extra="regionloss[ref]",
    )


@hookimpl
def register_discriminators(register: RegisterTarget) -> None:
    """Discriminators of the objective."""
    register(
        "patchgan",
        "insighttok_ref.objective.adversarial:PatchGAN",
        summary="pix2pix's discriminator of patches",
        extra="regionloss[ref]",
    )


@hookimpl
def register_commands(register: RegisterTarget) -> None:
    """Commands of the reference build."""
    register(
        "launch",
        "insighttok_ref.cli.launch:launch",
        summary="Start a recipe on several GPUs or machines, or print the line that does.",
    )
    register(
        "data",
        "insighttok_ref.cli.data:app",
        summary="Make training data: drawn words with exact boxes.",
    )
    register(
        "reconstruct",
        "insighttok_ref.cli.reconstruct:reconstruct",
        summary="Reconstruct images with a tokenizer; draw them side by side.",
    )
    register(
        "calibrate",
        "insighttok_ref.cli.calibrate:calibrate",
        summary="Measure how strongly each term pulls beside l1 and LPIPS; propose weights.",
    )
    register(
        "checkpoint",
        "insighttok_ref.cli.checkpoint:app",
        summary="Convert tokenizer checkpoints.",
    )

"""The hooks of the reference build and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterTarget

HERE, EXTRA = "insighttok_ref", "regionloss[ref]"
COMMANDS = {
    "launch": ("launch:launch", "Start a recipe on several GPUs or machines, or print the line that does."),
    "plan": ("plan:plan", "Calculate what fits: memory by part, micro-batch, accumulation and days, without a GPU."),
    "data": ("data:app", "Make training data: drawn words with exact boxes."),
    "reconstruct": ("reconstruct:reconstruct", "Reconstruct images with a tokenizer; draw them side by side."),
    "tokenize": ("tokenize:tokenize", "Write the tokens of images, and their captions, for a generator."),
    "generate": ("generate:generate", "Draw images of a caption with a generator."),
    "measure": ("measure:measure", "Measure generated images: long text, faces, benchmarks' results."),
    "calibrate": (
        "calibrate:calibrate",
        "Measure how strongly each term pulls beside l1 and LPIPS; propose weights.",
    ),
    "checkpoint": ("checkpoint:app", "Convert checkpoints of tokenizers and generators."),
}


@hookimpl
def register_trainers(register: RegisterTarget) -> None:
    """The trainers of autoencoders and generators; that of tokenizers also under an earlier name, until 0.3."""
    trainer = f"{HERE}.trainers.tokenizer.trainer:InsightTok"
    earlier = "the trainer `insighttok` under an earlier name, which recipes may say until 0.3"
    register("comparison", trainer, summary=earlier, extra=EXTRA)
    summary = "the InsightTok tokenizer in phases, arms and a report if asked for, on one CPU or many GPUs"
    register("insighttok", trainer, summary=summary, extra="regionloss[ref,data]")
    summary = "the decoder of an autoencoder that you have, latents kept, on the images of a folder"
    register("finetune", f"{HERE}.trainers.finetune.trainer:Finetune", summary=summary, extra="regionloss[ref,data]")
    summary = "InsightAR, a generator of images from captions, on the tokens that `regionloss tokenize` writes"
    target = f"{HERE}.trainers.generator.trainer:GeneratorTrainer"
    register("insightar", target, summary=summary, extra="regionloss[generator]")


@hookimpl
def register_tokenizers(register: RegisterTarget) -> None:
    """Tokenizers that the trainers train."""
    target = f"{HERE}.tokenizers.insighttok.model:InsightTokenizer"
    register("insighttok", target, summary="the convolutional tokenizer of InsightTok", extra=EXTRA)


@hookimpl
def register_autoencoders(register: RegisterTarget) -> None:
    """Tokenizer files, as what is evaluated."""
    summary = "a tokenizer of ours, of the published InsightTok, of taming or of LlamaGen"
    register("tokenizer-file", f"{HERE}.tokenizers.insighttok.autoencoder:TokenizerFile", summary=summary, extra=EXTRA)


@hookimpl
def register_quantizers(register: RegisterTarget) -> None:
    """Quantizers of tokenizers."""
    summary = "a codebook that follows its tokens by moving averages, dead codes restarted (InsightTok)"
    register("ema", f"{HERE}.quantizers.ema:EMAQuantizer", summary=summary, extra=EXTRA)
    summary = "finite scalar quantization: every channel rounded to a few levels, nothing learnt"
    register("fsq", f"{HERE}.quantizers.fsq:FSQuantizer", summary=summary, extra=EXTRA)


@hookimpl
def register_discriminators(register: RegisterTarget) -> None:
    """Discriminators of the objective."""
    target = f"{HERE}.objective.adversarial:PatchGAN"
    register("patchgan", target, summary="pix2pix's discriminator of patches", extra=EXTRA)


@hookimpl
def register_commands(register: RegisterTarget) -> None:
    """Commands of the reference build."""
    for name, (target, summary) in COMMANDS.items():
        register(name, f"{HERE}.cli.{target}", summary=summary)

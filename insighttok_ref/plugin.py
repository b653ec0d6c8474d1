"""The hooks of the reference build and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterTarget, RegisterWeights

TORCHVISION = "https://download.pytorch.org/models"
ST_LPIPS = "pip:stlpips-pytorch==0.0.2:stlpips_pytorch/weights/vST0.0"


@hookimpl
def register_trainers(register: RegisterTarget) -> None:
    """Trainers of the InsightTok tokenizer."""
    register(
        "comparison",
        "insighttok_ref.training.comparison:Comparison",
        summary="a tokenizer with and without region terms, from the same weights, side by side",
        extra="regionloss[ref]",
    )
    register(
        "insighttok",
        "insighttok_ref.training.insighttok:InsightTok",
        summary="the InsightTok tokenizer in phases, on one CPU or many GPUs, with torch alone or DeepSpeed",
        extra="regionloss[ref,data]",
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
        "checkpoint",
        "insighttok_ref.cli.checkpoint:app",
        summary="Convert tokenizer checkpoints.",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Trunks of perceptual losses."""
    for name, filename, network in (
        ("vgg16-torchvision", "vgg16-397923af.pth", "VGG16"),
        ("alexnet-torchvision", "alexnet-owt-7be5be79.pth", "AlexNet"),
    ):
        register(
            name,
            filename=filename,
            sha256="",
            size=0,
            source=f"{TORCHVISION}/{filename}",
            licence="BSD-3-Clause (torchvision); weights: not stated",
            summary=f"torchvision's {network}, trained on ImageNet: the trunk of LPIPS",
        )
    for name, sha256, size in (
        ("vgg", "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250", 58_907_298),
        ("alex", "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee", 9_899_296),
    ):
        register(
            f"st-lpips-{name}",
            filename=f"{name}_shift_tolerant.pth",
            sha256=sha256,
            size=size,
            source=f"{ST_LPIPS}/{name}_shift_tolerant.pth",
            licence="BSD-2-Clause (its classifier: MIT; part of the code: CC-BY-NC-SA-4.0); weights: not stated",
            summary=f"shift-tolerant LPIPS with a {name} trunk",
            packaged=name == "alex",
        )

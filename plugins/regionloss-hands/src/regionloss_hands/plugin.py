"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from regionloss import hookimpl
from regionloss.hooks.specs import RegisterComponent, RegisterRegionKind, RegisterTerm, RegisterWeights
from regionloss_hands.keypoints import KEYPOINTS

OURS = "Apache-2.0"
MEDIAPIPE = "npm:@mediapipe/hands@0.4.1675469240:"


@hookimpl
def register_region_kinds(register: RegisterRegionKind) -> None:
    """A mirrored left hand is a right hand: no keypoint takes the place of another."""
    register("hand", summary="a hand, left or right; the thumb's side is read from its keypoints", keypoints=KEYPOINTS)


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """Detectors with 21 keypoints."""
    register(
        "mediapipe",
        "regionloss_hands.detector:HandDetector",
        licence=OURS,
        summary="MediaPipe's palm detector and hand keypoints",
        weights=("hand-palm", "hand-landmark-full"),
    )


@hookimpl
def register_region_extractors(register: RegisterComponent) -> None:
    """Crops of hands."""
    register(
        "aligned-hand",
        "regionloss_hands.alignment:HandExtractor",
        licence=OURS,
        summary="wrist and knuckles on a template; thumb always on the left",
    )


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Networks that know hands."""
    register(
        "hand-landmark",
        "regionloss_hands.backbone:HandLandmarkBackbone",
        licence=OURS,
        summary="MediaPipe's hand network, 224 x 224, full or lite",
        weights=("hand-landmark-full",),
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """The term that `hands` stands for."""
    register(
        "packaged",
        kind="hand",
        detector="mediapipe",
        extractor="aligned-hand",
        backbone="hand-landmark",
        weight=0.001,
        default=True,
        licence=OURS,
        summary="features of MediaPipe's hand network, found by its detector; all weights ship in a package",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Files of the npm package @mediapipe/hands."""
    files = {
        "hand-palm": (
            "hands_solution_packed_assets.data",
            "bdce7b66bfc5b39ba86a47775c98e0b186fe73f8308c2279f852af4c89ffdf42",
            4326731,
            "MediaPipe's palm detectors, full (used here) and lite",
        ),
        "hand-landmark-full": (
            "hand_landmark_full.tflite",
            "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
            5478688,
            "MediaPipe's 21 keypoints of a hand",
        ),
        "hand-landmark-lite": (
            "hand_landmark_lite.tflite",
            "d7fde8ac11f8ce03f8663775bfc323f4fc9f2a38062b4f4efa142874ef5b2a48",
            2071408,
            "MediaPipe's 21 keypoints of a hand, the faster network",
        ),
    }
    for name, (filename, sha256, size, summary) in files.items():
        register(
            name,
            filename=filename,
            sha256=sha256,
            size=size,
            source=MEDIAPIPE + filename,
            licence=OURS,
            summary=summary,
            packaged=True,
        )

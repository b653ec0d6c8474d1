"""RetinaFace with facexlib's networks; anchors and decoding are ours, batched and on the images' device."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from regionloss.backbones import Frozen, InputSpec
from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions, join
from regionloss_face.boxes import faces_of, suppress
from regionloss_face.from_facexlib import build

#: Pixels between the cells of each level, and the sides of the two anchors in a cell.
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
CENTRE_VARIANCE, SIDE_VARIANCE = 0.1, 0.2
RETINAFACE_INPUT = InputSpec(None, (0.0, 255.0), "BGR", (104.0, 117.0, 123.0))
WEIGHTS = {"resnet50": "retinaface-resnet50", "mobile0.25": "retinaface-mobile025"}


class RetinaFaceDetector:
    """Finds faces with five keypoints: eyes, nose, corners of the mouth; left and right as seen in the picture.

    The network's keypoints follow the convention of ArcFace's own alignment (the centre of the first pixel is 0); half
    a pixel is added to bring them to this SDK's.

    Args:
        network: Trunk, `"resnet50"` or `"mobile0.25"`.
        weights: Name of the weights, or a path to facexlib's file; empty for the ones that belong to the network.
        min_score: Probability from which a box counts as a face.
        max_overlap: Boxes that overlap a better one by more than this, of their union, are dropped.
        key: Entry with the weights in a file that has several networks.

    Raises:
        InputError: An option outside its range.
        PluginError: facexlib is not installed.
        WeightsError: The weights are not here, or are another network's.

    Source: Deng et al., RetinaFace (2020); facexlib.
    """

    kind = "face"

    def __init__(
        self,
        network: Literal["resnet50", "mobile0.25"] = "resnet50",
        weights: str = "",
        min_score: float = 0.8,
        max_overlap: float = 0.4,
        key: str = "",
    ) -> None:
        if network not in WEIGHTS:
            raise InputError(expected("retinaface.network", "'resnet50' or 'mobile0.25'", repr(network)))
        if not (0 <= min_score <= 1 and 0 <= max_overlap <= 1):
            got = f"{min_score} and {max_overlap}"
            raise InputError(expected("retinaface.min_score, max_overlap", "numbers in [0, 1]", got))
        self.min_score, self.max_overlap = min_score, max_overlap
        options = {"network_name": network, "device": "cpu"}
        made = build("detection.retinaface", "RetinaFace", weights or WEIGHTS[network], key, **options)
        self.network = Frozen(made)
        self.version = f"retinaface-1 {network} min_score={min_score:g} max_overlap={max_overlap:g}"

    @torch.no_grad()
    def detect(self, images: Tensor) -> Regions:
        """Return the faces of images (B, 3, H, W) in [-1, 1], best first in each image; on the CPU, boxes clipped."""
        check_images(images, "images")
        height, width = images.shape[2:]
        if len(images) == 0:
            return Regions.empty(self.kind, (height, width), 0, keypoints=5)
        inputs = RETINAFACE_INPUT(images.float())
        offsets, classes, points = self.network.network_for(inputs)(inputs)
        centres, sides = anchors(height, width, images.device)
        boxes = decoded_boxes(offsets, centres, sides)
        keypoints = centres[:, None] + points.unflatten(2, (5, 2)) * CENTRE_VARIANCE * sides[:, None] + 0.5
        found = [self.best(*parts) for parts in zip(boxes, classes[..., 1], keypoints, strict=True)]
        return join([faces_of(*parts, (height, width)) for parts in found], self.kind, (height, width))

    def best(self, boxes: Tensor, scores: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return one image's boxes, scores and keypoints that are likely enough, one a face."""
        likely = scores > self.min_score
        boxes, scores, keypoints = boxes[likely], scores[likely], keypoints[likely]
        kept = suppress(boxes, scores, self.max_overlap)
        return boxes[kept].cpu(), scores[kept].cpu(), keypoints[kept].cpu()


def anchors(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return centres (A, 2) and sides (A, 1) of the anchors of an image, pixels, in the network's order."""
    centres, sides = [], []
    for step, lengths in ANCHORS:
        y = (torch.arange(math.ceil(height / step), device=device) + 0.5) * step
        x = (torch.arange(math.ceil(width / step), device=device) + 0.5) * step
        cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        centres.append(cells.repeat_interleave(len(lengths), 0))
        sides.append(torch.tensor(lengths, dtype=torch.float32, device=device).repeat(len(cells))[:, None])
    return torch.cat(centres), torch.cat(sides)


def decoded_boxes(offsets: Tensor, centres: Tensor, sides: Tensor) -> Tensor:
    """Return boxes (B, A, 4) from the network's offsets (B, A, 4): of the centre, and logarithms of the sides."""
    middle = centres + offsets[..., :2] * CENTRE_VARIANCE * sides
    half = sides * (offsets[..., 2:] * SIDE_VARIANCE).exp() / 2
    return torch.cat([middle - half, middle + half], -1)

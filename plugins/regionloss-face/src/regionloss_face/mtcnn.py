"""MTCNN: three small networks, one after another, that propose, refine and describe faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.backbones import Frozen
from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions, join
from regionloss_face.boxes import faces_of, moved, sides, squared, suppress, usable
from regionloss_face.cascade import OUTPUT, PROPOSE, REFINE, load_network

WINDOW, STRIDE = 12, 2  # what a cell of the first network sees, and how far apart cells are, pixels of its image
PYRAMID_STEP = 0.709  # about the root of 1/2: each image of the pyramid has half the area of the one before
FIRST_PIXEL = (1.0, 1.0, 0.0, 0.0)  # from a box in continuous pixels to the numbers of its corner pixels
FIRST_SCORE, SECOND_SCORE = 0.6, 0.7
NETWORK_BATCH = 512


class MTCNNDetector:
    """Finds faces with five keypoints: eyes, nose, corners of the mouth; left and right as seen in the picture.

    Args:
        min_score: Probability from which a box counts as a face. Below 0.95 hands and cups appear among the faces.
        min_face: Side of the smallest face that is looked for, pixels of the image as it is looked at.
        upscale: Factor by which images are enlarged before they are looked at; for small images and small faces.
        proposal_weights: Name or path of the first network's weights.
        refinement_weights: Name or path of the second one's.
        output_weights: Name or path of the third one's.
        key: Entry with the weights in files that have several networks.

    Raises:
        InputError: An option outside its range.
        WeightsError: The weights are not here.

    Source: Zhang et al., Joint face detection and alignment using multi-task cascaded convolutional networks (2016).
    """

    kind = "face"

    def __init__(
        self,
        min_score: float = 0.95,
        min_face: float = 20.0,
        upscale: float = 1.0,
        proposal_weights: str = "mtcnn-pnet",
        refinement_weights: str = "mtcnn-rnet",
        output_weights: str = "mtcnn-onet",
        key: str = "",
    ) -> None:
        if not 0 <= min_score <= 1:
            raise InputError(expected("mtcnn.min_score", "a number in [0, 1]", str(min_score)))
        if min_face < WINDOW:
            raise InputError(expected("mtcnn.min_face", f"at least {WINDOW} pixels", str(min_face), "Use upscale."))
        if upscale <= 0:
            raise InputError(expected("mtcnn.upscale", "a factor above 0", str(upscale)))
        self.min_score, self.min_face, self.upscale = min_score, min_face, upscale
        self.propose = Frozen(load_network(PROPOSE, proposal_weights, key))
        self.refine = Frozen(load_network(REFINE, refinement_weights, key))
        self.output = Frozen(load_network(OUTPUT, output_weights, key))
        self.version = f"mtcnn-1 min_score={min_score:g} min_face={min_face:g} upscale={upscale:g}"

    @torch.no_grad()
    def detect(self, images: Tensor) -> Regions:
        """Return the faces of images (B, 3, H, W) in [-1, 1], best first in each image; on the CPU, boxes clipped."""
        check_images(images, "images")
        height, width = images.shape[2:]
        looked_at = images.float()
        if self.upscale != 1:
            size = (round(height * self.upscale), round(width * self.upscale))
            looked_at = F.interpolate(looked_at, size, mode="bicubic", antialias=True)
        if len(images) == 0:
            return Regions.empty(self.kind, (height, width), 0, keypoints=5)
        scale = torch.tensor([width / looked_at.shape[3], height / looked_at.shape[2]])
        found = [self.detect_one(image) for image in looked_at]
        faces = [
            faces_of(boxes.cpu() * scale.repeat(2), scores.cpu(), keypoints.cpu() * scale, (height, width))
            for boxes, scores, keypoints in found
        ]
        return join(faces, self.kind, (height, width))

    def detect_one(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (N, 4), scores (N,) and keypoints (N, 5, 2) of one image (3, H, W)."""
        squares, scores, offsets, _ = judged(image, self.proposals(image), self.refine, 24, SECOND_SCORE)
        kept = suppress(squares + squares.new_tensor(FIRST_PIXEL), scores, 0.7)
        squares = squared(moved(squares[kept], offsets[kept]))
        squares, scores, offsets, points = judged(image, squares, self.output, 48, self.min_score)
        # Whole pixels were cut out: from the unrounded corner everything would lie half a pixel to the right and below.
        squares = squares.floor()
        boxes = moved(squares, offsets)
        keypoints = squares[:, None, :2] + points * sides(squares)[:, None]
        kept = suppress(boxes, scores, 0.7, by_smaller=True)
        return boxes[kept], scores[kept], keypoints[kept]

    def proposals(self, image: Tensor) -> Tensor:
        """Return squares (N, 4) where the first network, sliding over a pyramid of the image, sees a face."""
        found = [self.proposals_at(image, scale) for scale in self.scales(image)]
        boxes, scores, offsets = (torch.cat(parts) for parts in zip(*found, strict=True))
        kept = suppress(boxes, scores, 0.7)
        numbers = squared(moved(boxes[kept], offsets[kept]))
        return numbers - numbers.new_tensor(FIRST_PIXEL)

    def scales(self, image: Tensor) -> list[float]:
        """Return the factors of the pyramid's images; at least one."""
        scales = [WINDOW / self.min_face]
        while min(image.shape[1:]) * scales[-1] * PYRAMID_STEP >= WINDOW:
            scales.append(scales[-1] * PYRAMID_STEP)
        return scales

    def proposals_at(self, image: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return corner pixels (N, 4), scores (N,) and offsets (N, 4) that one image of the pyramid proposes."""
        size = [max(int(side * scale + 1), WINDOW) for side in image.shape[1:]]
        small = F.interpolate(image[None], size, mode="area")
        faces, offsets, _ = self.propose.network_for(small)(small)
        cells = (faces[0] >= FIRST_SCORE).nonzero()
        scores, offsets = faces[0][tuple(cells.T)], offsets[0][:, cells[:, 0], cells[:, 1]].T
        low = cells.flip(1).to(image) * STRIDE
        # Numbers of the first and the last pixel, counted from one: what the networks were trained on.
        boxes = torch.cat([((low + 1) / scale).floor(), ((low + WINDOW) / scale).floor()], 1)
        kept = suppress(boxes, scores, 0.5)
        return boxes[kept], scores[kept], offsets[kept]


def judged(
    image: Tensor, squares: Tensor, stage: Frozen, size: int, min_score: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what a later network takes for faces: squares, scores, corner offsets and relative keypoints (N, K, 2)."""
    squares = squares[usable(squares, image.shape[1:])]
    crops = torch.cat([image.new_zeros(0, 3, size, size), *(cut(image, square, size) for square in squares)])
    network = stage.network_for(crops)
    parts = [network(part) for part in crops.split(NETWORK_BATCH)]
    scores, offsets = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    points = torch.cat([part[1][:, :0] if part[2] is None else part[2] for part in parts])
    passed = scores > min_score
    # The network says all x before all y.
    points = points[passed].unflatten(1, (2, points.shape[1] // 2)).transpose(1, 2)
    return squares[passed], scores[passed], offsets[passed], points


def cut(image: Tensor, box: Tensor, size: int) -> Tensor:
    """Return the whole pixels of a box as (1, 3, size, size), black where it leaves the image."""
    height, width = image.shape[1:]
    x1, y1, x2, y2 = box.floor().int().tolist()
    margins = [max(-x1, 0), max(x2 - width, 0), max(-y1, 0), max(y2 - height, 0)]
    inside = image[None, :, max(y1, 0) : y2, max(x1, 0) : x2]
    return F.interpolate(F.pad(inside, margins, value=-1.0), (size, size), mode="area")

"""MediaPipe's hands: palms, then 21 keypoints of each."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss import AlignedExtractor
from regionloss.backbones import Frozen, InputSpec
from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions, join
from regionloss_hands.alignment import HandExtractor
from regionloss_hands.keypoints import KEYPOINTS, SIDE
from regionloss_hands.palms import MIDDLE_KNUCKLE, WRIST, PalmNetwork, suppress, views_of_image
from regionloss_hands.tflite_network import HAND_KEYPOINTS, TFLiteNetwork, load_graph

HAND_INPUT = InputSpec((SIDE, SIDE), (0.0, 1.0))
PALMS_TO_HAND, PALMS_AHEAD = 2.6, 0.5  # the square of the hand: its side, and how far it lies towards the fingers
LARGEST_OVERLAP = 0.5
MARGIN = 0.1  # keypoints are joints: the skin reaches further, sides of the keypoints' box
NETWORK_BATCH = 32


class HandDetector:
    """Finds hands with 21 keypoints: the wrist, then each finger from its root to its tip.

    Palms are found in the whole image; the keypoints are read twice, first in a crop that the palm gives, then in the
    crop that the term compares, where all hands have the thumb on the same side.

    Args:
        min_score: Probability from which a crop counts as a hand.
        min_palm_score: Probability from which a palm is looked at.
        zoom: 1 looks at the whole image; 2 also at squares of half its longer side, and so on, for small hands.
        palm_weights: Name of the weights, or a path to MediaPipe's packed assets or to a `palm_detection_full.tflite`.
        weights: Name or path of the keypoints' network: `hand-landmark-full`, or the faster `hand-landmark-lite`.

    Raises:
        InputError: An option outside its range.
        WeightsError: The weights are not here, or are none of MediaPipe's.

    Source: Zhang et al., MediaPipe Hands: On-device real-time hand tracking (2020).
    """

    kind = "hand"

    def __init__(
        self,
        min_score: float = 0.5,
        min_palm_score: float = 0.5,
        zoom: int = 2,
        palm_weights: str = "hand-palm",
        weights: str = "hand-landmark-full",
    ) -> None:
        for name, score in (("min_score", min_score), ("min_palm_score", min_palm_score)):
            if not 0 <= score <= 1:
                raise InputError(expected(f"hands.{name}", "a number in [0, 1]", str(score)))
        if zoom not in range(1, 9):
            raise InputError(expected("hands.zoom", "a whole number from 1 to 8", str(zoom)))
        self.min_score, self.min_palm_score, self.zoom = min_score, min_palm_score, zoom
        self.palms = PalmNetwork(palm_weights)
        graph = load_graph(weights, HAND_KEYPOINTS)
        self.landmarks = Frozen(TFLiteNetwork(graph, graph.outputs[:2]))
        self.from_palm = AlignedExtractor([[SIDE / 2, SIDE / 2], [SIDE / 2, 0]], (SIDE, SIDE))
        self.from_keypoints = HandExtractor()
        options = f"min_score={min_score:g} min_palm_score={min_palm_score:g} zoom={zoom} weights={weights}"
        self.version = f"mediapipe-hands-1 {options}"

    @torch.no_grad()
    def detect(self, images: Tensor) -> Regions:
        """Return the hands of images (B, 3, H, W) in [-1, 1], best first in each image; on the CPU, boxes clipped."""
        check_images(images, "images")
        height, width = images.shape[2:]
        if len(images) == 0:
            return Regions.empty(self.kind, (height, width), 0, keypoints=len(KEYPOINTS))
        found = [self.detect_one(image) for image in images.float().clamp(-1, 1)]
        return join(found, self.kind, (height, width))

    def detect_one(self, image: Tensor) -> Regions:
        """Return the hands of one image (3, H, W), on the CPU."""
        height, width = image.shape[1:]
        palms, points = self.palms(image, views_of_image(height, width, self.zoom), self.min_palm_score)
        rough, scores = self.read(image, upright(palms, points), self.from_palm)
        keypoints, scores = self.read(image, rough[scores >= self.min_score], self.from_keypoints)
        low, high = keypoints.amin(1), keypoints.amax(1)
        margin = MARGIN * (high - low).amax(1, keepdim=True)
        boxes = torch.cat([low - margin, high + margin], 1).clamp(min=0)
        boxes = boxes.minimum(boxes.new_tensor([width, height, width, height]))
        kept = suppress(boxes, scores, LARGEST_OVERLAP)
        kept = kept[(scores[kept] >= self.min_score) & ((boxes[kept, 2:] - boxes[kept, :2]) >= 1).all(1)]
        boxes, keypoints, scores = boxes[kept].cpu(), keypoints[kept].cpu(), scores[kept].cpu()
        return Regions.single(self.kind, boxes, (height, width), keypoints=keypoints, scores=scores)

    def read(self, image: Tensor, points: Tensor, extractor: AlignedExtractor) -> tuple[Tensor, Tensor]:
        """Return keypoints (N, 21, 2) and scores (N,) from crops of one image, aligned by points (N, K, 2)."""
        size = (image.shape[1], image.shape[2])
        boxes = points.new_tensor([0.0, 0.0, size[1], size[0]]).expand(len(points), 4)
        regions = Regions.single(self.kind, boxes, size, keypoints=points)
        crops = HAND_INPUT(extractor(image[None], regions))
        network = self.landmarks.network_for(crops)
        parts = [network(part) for part in crops.split(NETWORK_BATCH)] if len(crops) else [network(crops)]
        values, scores = (torch.cat([part[i] for part in parts]) for i in (0, 1))
        matrix, offset = extractor.to_image(regions, values.dtype)
        read = values.unflatten(1, (len(KEYPOINTS), 3))[..., :2]
        return torch.einsum("rij,rkj->rki", matrix, read) + offset[:, None], scores[:, 0]


def upright(palms: Tensor, points: Tensor) -> Tensor:
    """Return the centre of each hand's square and the middle of its upper side, (N, 2, 2); fingers point up."""
    ahead = points[:, MIDDLE_KNUCKLE] - points[:, WRIST]
    ahead = ahead / ahead.norm(dim=1, keepdim=True).clamp(min=1e-6)
    side = (palms[:, 2:] - palms[:, :2]).amax(1, keepdim=True)
    centre = (palms[:, :2] + palms[:, 2:]) / 2 + PALMS_AHEAD * side * ahead
    return torch.stack([centre, centre + PALMS_TO_HAND / 2 * side * ahead], 1)

"""Palms: what MediaPipe's detector proposes, in pixels of the image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.backbones import Frozen
from regionloss_hands.tflite_network import PALM_DETECTOR, TFLiteNetwork, load_graph

SIDE = 192
GRIDS = ((24, 2), (12, 6))  # cells a side, anchors a cell
WRIST, MIDDLE_KNUCKLE = 0, 2  # of the palm's seven keypoints
LARGEST_OVERLAP = 0.3
NETWORK_BATCH = 16

View = tuple[int, int, int]


class PalmNetwork(Frozen):
    """Finds palms in square views of images.

    Args:
        weights: Name of the weights, a path to MediaPipe's packed assets, or one to a `palm_detection_*.tflite`.
    """

    def __init__(self, weights: str) -> None:
        graph = load_graph(weights, PALM_DETECTOR)
        super().__init__(TFLiteNetwork(graph, graph.outputs).to(memory_format=torch.channels_last))  # a third faster
        centres = [grid_centres(cells).repeat_interleave(count, 0) for cells, count in GRIDS]
        self.anchors = torch.cat(centres)

    def forward(self, image: Tensor, views: list[View], min_score: float) -> tuple[Tensor, Tensor]:
        """Return boxes (N, 4) and keypoints (N, 7, 2) of the palms of an image (3, H, W), best first, in its pixels."""
        crops = torch.cat([cut(image, view) for view in views]).contiguous(memory_format=torch.channels_last)
        network = self.network_for(crops)
        parts = [network(part) for part in crops.split(NETWORK_BATCH)]
        values, logits = (torch.cat([part[i] for part in parts]) for i in (0, 1))
        views_of, kept = (logits[..., 0].sigmoid() >= min_score).nonzero(as_tuple=True)
        # Every pair is an offset from the anchor's centre, but the second: width and height of the box.
        pairs = values[views_of, kept].unflatten(1, (9, 2)) / SIDE
        anchors = self.anchors.to(pairs)[kept][:, None]
        points = torch.cat([pairs[:, :1], pairs[:, 2:]], 1) + anchors
        corner_and_side = pairs.new_tensor(views)[views_of]
        corner, side = corner_and_side[:, None, :2], corner_and_side[:, 2, None, None]
        points, half = points * side + corner, pairs[:, 1] * side[:, 0] / 2
        boxes = torch.cat([points[:, 0] - half, points[:, 0] + half], 1)
        best = suppress(boxes, logits[views_of, kept, 0], LARGEST_OVERLAP)
        return boxes[best], points[best, 1:]


def grid_centres(cells: int) -> Tensor:
    """Return (cells * cells, 2) centres x, y of a grid on the unit square, row by row."""
    middle = (torch.arange(cells) + 0.5) / cells
    return torch.stack(torch.meshgrid(middle, middle, indexing="xy"), -1).reshape(-1, 2)


def views_of_image(height: int, width: int, zoom: int) -> list[View]:
    """Return squares `(x, y, side)`: one around the whole image, and for each zoom squares that overlap by half."""
    longest = max(height, width)
    views = [((width - longest) // 2, (height - longest) // 2, longest)]
    for factor in range(2, zoom + 1):
        side = math.ceil(longest / factor)
        views += [(x, y, side) for y in starts(height, side) for x in starts(width, side)]
    return views


def starts(length: int, side: int) -> list[int]:
    """Return where squares begin that cover a length and overlap by half at least; one that is longer is centred."""
    gaps = max(0, math.ceil(2 * (length - side) / side))
    return [round((length - side) * i / gaps) for i in range(gaps + 1)] if gaps else [(length - side) // 2]


def cut(image: Tensor, view: View) -> Tensor:
    """Return a view as (1, 3, 192, 192) in [0, 1], black where it leaves the image."""
    height, width = image.shape[1:]
    x, y, side = view
    margins = [max(-x, 0), max(x + side - width, 0), max(-y, 0), max(y + side - height, 0)]
    inside = image[None, :, max(y, 0) : y + side, max(x, 0) : x + side]
    square = F.pad((inside + 1) / 2, margins)
    return F.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)


def suppress(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    """Return the index of the boxes to keep, best first: none overlaps a better one by more than `limit` (IoU)."""
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    order = scores.argsort(descending=True, stable=True)
    kept = order[:0]
    while len(order):
        best, rest = order[:1], order[1:]
        kept = torch.cat([kept, best])
        low, high = torch.maximum(boxes[best, :2], boxes[rest, :2]), torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        order = rest[shared <= limit * (areas[best] + areas[rest] - shared)]
    return kept

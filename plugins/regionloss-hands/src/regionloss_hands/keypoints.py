"""The 21 keypoints of a hand in MediaPipe's order, also COCO-WholeBody's: wrist, then root to tip of each finger."""

from __future__ import annotations

FINGERS = ("index", "middle", "ring", "pinky")
KEYPOINTS = (
    "wrist",
    *(f"thumb_{joint}" for joint in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{joint}" for finger in FINGERS for joint in ("mcp", "pip", "dip", "tip")),
)
WRIST, INDEX_KNUCKLE, PINKY_KNUCKLE = 0, 5, 17
KNUCKLES = slice(5, None, 4)

#: Side of MediaPipe's own crops, pixels.
SIDE = 224
#: Where wrist and knuckles (index to little finger) lie there, thumb on the left: Procrustes mean of 16 hands.
TEMPLATE = ((111.5, 178.3), (93.9, 93.7), (112.1, 101.1), (128.6, 114.4), (143.1, 130.5))
#: Root mean square distance of all keypoints from their centre there, pixels: mean of the same hands.
SPREAD = 45.0

"""Features of MediaPipe's hand network."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss.backbones import FeatureBackbone
from regionloss_hands.detector import HAND_INPUT
from regionloss_hands.tflite_network import HAND_KEYPOINTS, TFLiteNetwork, feature_maps, load_graph


class HandLandmarkBackbone(FeatureBackbone):
    """Features of the network that reads keypoints from crops of 224 x 224, as `HandExtractor` cuts them.

    Levels 0 to 4 are the last blocks at 112 x 112, 56, 28, 14 and 7: 16, 24, 40, 112 and 192 channels (`lite`: 16, 16,
    24, 64 and 112).

    Args:
        weights: Name of the weights (`hand-landmark-full`, `hand-landmark-lite`), or a path to the `.tflite`.
        out_indices: Numbers of the levels to compare, from 0.

    Raises:
        WeightsError: The weights are not here, or are none of MediaPipe's.

    Source: Zhang et al., MediaPipe Hands: On-device real-time hand tracking (2020).
    """

    def __init__(self, weights: str = "hand-landmark-full", out_indices: Sequence[int] = (0, 1, 2, 3, 4)) -> None:
        graph = load_graph(weights, HAND_KEYPOINTS)
        network = TFLiteNetwork(graph, feature_maps(graph))
        super().__init__(network, HAND_INPUT, out_indices=out_indices, channels_last=True)

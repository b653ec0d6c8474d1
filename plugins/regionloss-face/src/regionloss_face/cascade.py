"""The three networks of MTCNN, as modules that read facenet-pytorch's weight files."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.weights import load_strictly

#: The networks saw 8-bit values v as (v - 127.5) / 128.
INPUT_GAIN = 127.5 / 128


@dataclass(frozen=True)
class Plan:
    """Layers of one network: `(width, kernel, pool)` per convolution (pool 0 for none), the dense width, the heads."""

    convolutions: tuple[tuple[int, int, int], ...]
    dense: tuple[int, int] | None
    face: str
    box: str
    points: str = ""


PROPOSE = Plan(((10, 3, 2), (16, 3, 0), (32, 3, 0)), None, "conv4_1", "conv4_2")
REFINE = Plan(((28, 3, 3), (48, 3, 3), (64, 2, 0)), (576, 128), "dense5_1", "dense5_2")
OUTPUT = Plan(((32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)), (1152, 256), "dense6_1", "dense6_2", "dense6_3")


class CascadeNetwork(nn.Module):
    """One stage of the cascade; `forward` returns the face's probability, corner offsets and relative keypoints.

    Args:
        plan: Layers of the network. The first network has no dense ones: it slides over an image of any size.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        channels = 3
        for number, (width, kernel, _) in enumerate(plan.convolutions, 1):
            self.add_module(f"conv{number}", nn.Conv2d(channels, width, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(width))
            channels = width
        if plan.dense is not None:
            number = len(plan.convolutions) + 1
            self.add_module(f"dense{number}", nn.Linear(*plan.dense))
            self.add_module(f"prelu{number}", nn.PReLU(plan.dense[1]))
            channels = plan.dense[1]
        for head, width in ((plan.face, 2), (plan.box, 4), (plan.points, 10)):
            if head:
                self.add_module(
                    head, nn.Conv2d(channels, width, 1) if plan.dense is None else nn.Linear(channels, width)
                )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return probabilities (N, ...), offsets (N, 4, ...) and keypoints (N, 10) or None, of images in [-1, 1]."""
        features, plan = images * INPUT_GAIN, self.plan
        for number, (_, _, pool) in enumerate(plan.convolutions, 1):
            features = self.step(f"conv{number}", f"prelu{number}", features)
            if pool:
                features = F.max_pool2d(features, pool, 2, ceil_mode=True)
        if plan.dense is not None:
            number = len(plan.convolutions) + 1
            # The original lays features out by column, row, channel.
            features = self.step(f"dense{number}", f"prelu{number}", features.transpose(1, 3).flatten(1))
        face = self.get_submodule(plan.face)(features).softmax(1)[:, 1]
        points = self.get_submodule(plan.points)(features) if plan.points else None
        return face, self.get_submodule(plan.box)(features), points

    def step(self, layer: str, activation: str, features: Tensor) -> Tensor:
        """Return features after a layer and its activation, by their names in the weight file."""
        activated: Tensor = self.get_submodule(activation)(self.get_submodule(layer)(features))
        return activated


def load_network(plan: Plan, weights: str, key: str = "") -> CascadeNetwork:
    """Return a network with the weights of this name or path.

    Raises:
        WeightsError: They are not here, or belong to another network.
    """
    network = CascadeNetwork(plan)
    load_strictly(network, weights, key=key)
    return network

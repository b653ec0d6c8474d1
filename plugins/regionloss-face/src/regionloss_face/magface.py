"""How good a face is, as MagFace says it: the length of its features."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss import AlignedExtractor
from regionloss.backbones import Frozen, InputSpec
from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions
from regionloss.weights import load_strictly
from regionloss_face.alignment import ARCFACE_TEMPLATE
from regionloss_face.iresnet import BLOCKS, IResNet

#: Blocks of each stage, by the number of layers.
LAYERS = {50: BLOCKS, 100: (3, 13, 30, 3)}
MAGFACE_INPUT = InputSpec((112, 112), (0.0, 1.0), "BGR")
BATCH = 32


class MagFace:
    """Scores faces of generated images: the longer a face's features, the better it can be recognised.

    Args:
        weights: Name of the weights, or a path to MagFace's checkpoint.
        layers: Number of layers of the network, 50 or 100.

    Raises:
        InputError: Another number of layers.
        WeightsError: The weights are not here, or are another network's.

    Source: Meng et al., MagFace (2021).
    """

    def __init__(self, weights: str = "magface-iresnet100", layers: int = 100) -> None:
        if layers not in LAYERS:
            raise InputError(expected("magface.layers", " or ".join(map(str, LAYERS)), str(layers)))
        network = IResNet(LAYERS[layers])
        load_strictly(network, weights)
        self.network = Frozen(network)
        self.extractor = AlignedExtractor(ARCFACE_TEMPLATE, (112, 112), padding="black")

    @torch.no_grad()
    def score(self, images: Tensor, regions: Regions) -> Tensor:
        """Return the length of each face's features, (R,), in images (B, 3, H, W) in [-1, 1].

        Args:
            images: Images (B, 3, H, W) in [-1, 1].
            regions: The R faces, each with five keypoints.

        Raises:
            InputError: Images that are none, or regions without five keypoints.
        """
        check_images(images, "images")
        if len(regions) == 0:
            return torch.zeros(0)
        crops = MAGFACE_INPUT(self.extractor(images.clamp(-1, 1), regions.to(images.device)))
        network: IResNet = self.network.network_for(crops)  # type: ignore[assignment]  # the one that it was given
        return torch.cat([network.embed(part).norm(dim=1) for part in crops.split(BATCH)]).cpu()

"""Features of CRAFT's trunk, for the whole-image loss of OCR-VQGAN."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss import FeatureBackbone
from regionloss.backbones import imagenet_spec
from regionloss_text.craft import CraftTrunk, craft_tensors


class CraftFeatures(FeatureBackbone):
    """The five maps of CRAFT's trunk that OCR-VQGAN compares: relu2_2, relu3_2, relu4_3, relu5_3, fc7.

    128, 256, 512, 512 and 1024 channels at 1/2, 1/4, 1/8, 1/16 and 1/16 of the image.

    Args:
        out_indices: Levels to compare; all by default.

    Raises:
        WeightsError: The file is not here.

    Source: Rodriguez et al. 2023 (OCR-VQGAN); Baek et al. 2019 (CRAFT).
    """

    def __init__(self, out_indices: Sequence[int] | None = None) -> None:
        super().__init__(CraftTrunk(craft_tensors()), imagenet_spec(), out_indices=out_indices, channels_last=True)

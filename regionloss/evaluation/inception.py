"""The network that FID is defined by."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from regionloss.errors import PluginError, WeightsError, expected
from regionloss.weights import load_state_dict, locate, origin_of, sha256_of

WEIGHTS = "inception-fid"


class Inception:
    """The 2,048 pooled features of TensorFlow's Inception-v3 of 2015, by the package torch-fidelity.

    An image is seen as 8-bit values, resized to 299 x 299 as TensorFlow 1 did it, without a filter: so published FIDs
    are computed.

    Args:
        file: File of the weights, of any origin; None for the registered one, from the cache.

    Raises:
        WeightsError: There is no such file, or it is another network's.
        PluginError: torch-fidelity is not installed.

    Source: Heusel et al. (2017); the weights: Szegedy et al. (2016), as pytorch-fid and torch-fidelity publish them.
    """

    def __init__(self, file: Path | None = None) -> None:
        found = locate(WEIGHTS) if file is None else file
        weights = io.BytesIO()
        torch.save(load_state_dict(found), weights)  # tensors alone: the package itself would run what a file asks for
        weights.seek(0)
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            advice = "Run pip install 'regionloss[fid]'."
            raise PluginError(expected("rFID", "the package torch-fidelity", str(error), advice)) from error
        try:
            self.network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], weights)
        except RuntimeError as error:
            advice = f"Run 'regionloss weights fetch {WEIGHTS}'."
            wanted, got = "Inception-v3's weights of 2015, as torch-fidelity has them", str(error).splitlines()[0]
            raise WeightsError(expected(str(found), wanted, got, advice)) from error
        self.sha256 = origin_of(found) or sha256_of(found)

    def __call__(self, image: Tensor) -> Tensor:
        """Return features (2048,) of an image (1, 3, H, W) in [-1, 1]."""
        values = (image.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
        features: Tensor = self.network.to(image.device)(values)[0]
        return features[0]

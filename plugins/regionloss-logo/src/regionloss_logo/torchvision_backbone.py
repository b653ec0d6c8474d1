"""Layers of a torchvision network as features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models import get_model, list_models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from regionloss.backbones import FeatureBackbone, imagenet_spec
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.weights import load_strictly


class TorchvisionBackbone(FeatureBackbone):
    """Outputs of layers of an image classifier, for crops of any size that it takes.

    Args:
        network: Name in `torchvision.models`.
        weights: Name of the weights, or a path to torchvision's file for this network. Never random.
        taps: Names of the layers whose outputs are compared, as torchvision's feature extraction names them; the
            defaults are MobileNetV2's, at 1/2, 1/4, 1/8 and 1/16 of the crop.
        key: Entry with the weights in a file that has several networks, such as `"model_ema"`.

    Raises:
        UnknownNameError: torchvision has no such network.
        InputError: The network has no such layer.
        WeightsError: The weights are not here, or are another network's.
    """

    def __init__(
        self,
        network: str = "mobilenet_v2",
        weights: str = "mobilenet-v2",
        taps: Sequence[str] = ("features.1", "features.3", "features.6", "features.13"),
        key: str = "",
    ) -> None:
        if network not in list_models():
            advice = did_you_mean(network, list_models())
            raise UnknownNameError(f"torchvision has no network named '{network}'. {advice}")
        model = get_model(network, weights=None).eval()
        load_strictly(model, weights, key=key)
        nodes = [node.split(".") for node in get_graph_node_names(model)[1]]
        layers = {".".join(node[:depth]) for node in nodes for depth in range(1, len(node) + 1)}
        for tap in taps:
            if tap not in layers:
                raise InputError(f"torchvision.taps: {network} has no layer '{tap}'. {did_you_mean(tap, layers)}")
        if not taps:
            raise InputError(expected("torchvision.taps", "at least one layer", "none"))
        extractor = create_feature_extractor(model, {tap: str(number) for number, tap in enumerate(taps)})
        self.taps = tuple(taps)
        super().__init__(extractor, imagenet_spec(), channels_last=True)

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the outputs of the layers, in the order of `taps`."""
        found = network(images)
        return [found[str(number)] for number in range(len(self.taps))]

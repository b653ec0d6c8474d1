"""Levels of a timm network as features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from regionloss.backbones import FeatureBackbone, InputSpec
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.weights import load_strictly


class TimmBackbone(FeatureBackbone):
    """Intermediate feature maps of a timm network, as its `forward_intermediates` gives them.

    Args:
        network: Name in `timm`, such as `resnet50.a1_in1k`: what follows the dot says how images are normalised.
        weights: Path to the network's file (`.safetensors`, `.pth`), its classifier included. Never random.
        out_indices: Numbers of the levels to compare, from 0.
        key: Entry with the weights in a file that has several networks, such as `"model_ema"`.

    Raises:
        UnknownNameError: timm has no such network.
        InputError: No weights are named, or the network has no intermediate levels or not as many.
        WeightsError: The weights are not here, or are another network's.
    """

    def __init__(self, network: str, weights: str, out_indices: Sequence[int] = (0, 1, 2, 3), key: str = "") -> None:
        if not timm.is_model(network):
            raise UnknownNameError(
                f"timm has no network named '{network}'. {did_you_mean(network, timm.list_models())}"
            )
        model: Any = timm.create_model(network, pretrained=False)
        load_strictly(model, weights, key=key)
        if not hasattr(model, "forward_intermediates"):
            raise InputError(expected("timm.network", "a network with forward_intermediates", f"'{network}'"))
        data = resolve_model_data_config(model)
        fixed = model.pretrained_cfg.get("fixed_input_size", False)
        size = tuple(data["input_size"][1:]) if fixed else None
        spec = InputSpec(size, (0.0, 1.0), "RGB", tuple(data["mean"]), tuple(data["std"]))
        super().__init__(model, spec)
        self.chosen = list(out_indices)

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the levels, (R, C, h, w) each."""
        try:
            intermediates: Any = network.forward_intermediates
            levels: list[Tensor] = intermediates(
                images, indices=self.chosen, output_fmt="NCHW", intermediates_only=True
            )
        except (AssertionError, IndexError) as error:
            got = f"{self.chosen} ({error})"
            raise InputError(expected("timm.out_indices", "numbers of the network's levels", got)) from error
        return levels

"""A network that never trains, is never saved, and follows its input to any device and precision."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from regionloss.tensors import working_dtype


class Frozen(nn.Module):
    """Holds a network outside torch's module tree.

    The network stays in evaluation mode for ever, its weights take no gradient, and neither `parameters()` nor
    `state_dict()` of anything that contains this module sees them: not an optimizer, DDP or ZeRO either. It moves to
    the device of its input when called, and has a float64 copy for float64 input.

    Args:
        network: Any module; its parameters take no gradient, and it stays in evaluation mode.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        network.eval().requires_grad_(False)
        # A plain dictionary is not part of the module tree.
        self._held: dict[torch.dtype, nn.Module] = {torch.float32: network}

    @property
    def network(self) -> nn.Module:
        """The network in float32."""
        return self._held[torch.float32]

    def network_for(self, images: Tensor) -> nn.Module:
        """Return the network on the images' device, in float64 for float64 images, else in float32."""
        dtype = working_dtype(images)
        network = self._held.get(dtype)
        weight = None if network is None else next(network.parameters(), None)
        if network is None or (weight is not None and weight.device != images.device):
            # What is made in inference mode could never be differentiated through again.
            with torch.inference_mode(False):
                network = (network or copy.deepcopy(self.network).eval().to(dtype)).to(images.device)
            self._held[dtype] = network
        return network

    def train(self, mode: bool = True) -> Self:
        """Do nothing: a loss network that starts training ruins the loss in silence."""
        super().train(False)
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        # A traced network that is copied or unpickled comes back in training mode.
        for network in self._held.values():
            network.eval()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # `.to()`, `.half()` and the like of an owner do not reach the network: it follows its input instead.
        return self

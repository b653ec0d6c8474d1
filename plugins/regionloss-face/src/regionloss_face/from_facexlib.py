"""facexlib, where it is installed. It is the extra `regionloss-face[facexlib]`."""

from __future__ import annotations

import importlib
import warnings

from torch import nn

from regionloss.errors import PluginError
from regionloss.weights import load_strictly


def build(module: str, name: str, weights: str, key: str = "", **options: object) -> nn.Module:
    """Return a network of facexlib with the weights of this name or path. Nothing is downloaded.

    Raises:
        PluginError: facexlib is not installed, or cannot be imported; says what to install.
        WeightsError: The weights are not here, or are another network's.
    """
    try:
        made = getattr(importlib.import_module(f"facexlib.{module}"), name)
    except ImportError as error:
        raise PluginError(
            f"facexlib: expected the package, got none that can be imported ({error}). "
            "Run pip install 'regionloss-face[facexlib]'; on a bare container also apt-get install libgl1 libglib2.0-0."
        ) from error
    with warnings.catch_warnings():
        # facexlib asks torchvision for an untrained trunk by a name that torchvision has retired.
        for message in ("The parameter 'pretrained' is deprecated", "Arguments other than a weight enum"):
            warnings.filterwarnings("ignore", message, UserWarning)
        network: nn.Module = made(**options)
    load_strictly(network, weights, key=key)
    return network

"""A file or a folder -> the autoencoder in it, by whichever registered class accepts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from regionloss.autoencoders.base import Autoencoder, TrainableAutoencoder
from regionloss.errors import InputError, PluginError, expected
from regionloss.hooks.catalogue import Catalogue, catalogue

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def open_autoencoder(
    path: Path,
    device: torch.device,
    options: Mapping[str, object] = NO_OPTIONS,
    where: Catalogue | None = None,
) -> Autoencoder:
    """Return the autoencoder in a file or a folder.

    Args:
        path: The file or the folder.
        device: Where it computes.
        options: Options of the class that reads it.
        where: Catalogue of the classes; None takes that of the installed plugins.

    Raises:
        InputError: There is nothing, or no class accepts it; or what the class says of its options.
        WeightsError: Its weights are broken.
    """
    if not path.exists():
        raise InputError(expected("autoencoder", "a file or a folder", f"'{path}', which is not there"))
    known, reasons = where or catalogue(), []
    for component in known.components("autoencoder"):
        try:
            kind = known.load("autoencoder", component.canonical)
            accepted = kind.accepts(path)
        except PluginError as error:
            reasons.append(str(error))
            continue
        if accepted:
            found: Autoencoder = known.build(
                "autoencoder", component.canonical, {"path": path, "device": device} | dict(options)
            )
            return found
    kinds = ", ".join(component.summary for component in known.components("autoencoder"))
    advice = " ".join(["Reconstruct with its own code, and give the images: --reconstructions FOLDER.", *reasons])
    raise InputError(expected(str(path), kinds or "an autoencoder", "something else", advice))


def open_trainable(
    path: Path,
    device: torch.device,
    options: Mapping[str, object] = NO_OPTIONS,
    where: Catalogue | None = None,
) -> TrainableAutoencoder:
    """Return the autoencoder in a file or a folder as one whose weights can be trained; arguments as above.

    Raises:
        InputError: As above, or the class that accepts it only reconstructs.
        WeightsError: Its weights are broken.
    """
    found = open_autoencoder(path, device, options, where)
    if not isinstance(found, TrainableAutoencoder):
        got = f"'{type(found).__name__}', which only reconstructs"
        raise InputError(expected(str(path), "an autoencoder that can be trained", got))
    return found

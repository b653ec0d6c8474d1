"""A file or a folder -> the autoencoder in it, by whichever registered class accepts it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
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
        path: The file, the folder, or a name (`owner/model`) in this machine's cache of the Hugging Face hub.
        device: Where it computes.
        options: Options of the class that reads it.
        where: Catalogue of the classes; None takes that of the installed plugins.

    Raises:
        InputError: There is nothing, or no class accepts it; or what the class says of its options.
        WeightsError: Its weights are broken.
    """
    path = path if path.exists() else cached(path)
    known = where or catalogue()
    accepting, reasons = [], []
    for component in known.components("autoencoder"):
        try:
            kind = known.load("autoencoder", component.canonical)
            if kind.accepts(path):
                accepting.append((getattr(kind, "asked_last", False), component.canonical))
        except PluginError as error:
            reasons.append(str(error))
    if accepting:
        name = min(accepting, key=lambda one: one[0])[1]
        found: Autoencoder = known.build("autoencoder", name, {"path": path, "device": device} | dict(options))
        return found
    kinds = ", ".join(component.summary for component in known.components("autoencoder"))
    advice = " ".join(["Reconstruct with its own code, and give the images: --reconstructions FOLDER.", *reasons])
    raise InputError(expected(str(path), kinds or "an autoencoder", "something else", advice))


def cached(name: Path) -> Path:
    """Return the folder of a model in this machine's cache of the Hugging Face hub; nothing is fetched.

    Raises:
        InputError: It is not there.
    """
    advice = "Check the path, or give a folder or a file."
    if len(name.parts) == 2 and not name.is_absolute():
        advice = f"Fetch it first ('hf download {name}'), or give a folder or a file."
        with suppress(ImportError, OSError, ValueError):
            from huggingface_hub import snapshot_download

            return Path(snapshot_download(name.as_posix(), local_files_only=True))
    raise InputError(expected("autoencoder", "a file or a folder", f"'{name}', which is not there", advice))


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

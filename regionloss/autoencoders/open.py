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

#: Files of a folder that are named where it holds no autoencoder.
SHOWN = 3
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def open_autoencoder(
    path: Path,
    device: torch.device,
    options: Mapping[str, object] = NO_OPTIONS,
    where: Catalogue | None = None,
    *,
    key: str = "autoencoder",
    advice: str = "",
) -> Autoencoder:
    """Return the autoencoder in a file or a folder.

    Args:
        path: The file, the folder, or a name (`owner/model`) in this machine's cache of the Hugging Face hub.
        device: Where it computes.
        options: Options of the class that reads it.
        where: Catalogue of the classes; None takes that of the installed plugins.
        key: What the path was given as, with which sentences begin.
        advice: What to do instead where no class accepts it.

    Raises:
        InputError: There is nothing, or no class accepts it; or what the class says of its options.
        WeightsError: Its weights are broken.
    """
    path = path if path.exists() else cached(path, key)
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
    got = f"'{path}', which is none"
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir())[:SHOWN]
        got = f"'{path}', a folder with {', '.join(inside) or 'nothing in it'}"
    raise InputError(expected(key, kinds or "an autoencoder", got, " ".join([advice, *reasons]).strip()))


def cached(name: Path, key: str) -> Path:
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
    raise InputError(expected(key, "a file or a folder", f"'{name}', which is not there", advice))


def open_trainable(
    path: Path,
    device: torch.device,
    options: Mapping[str, object] = NO_OPTIONS,
    where: Catalogue | None = None,
    *,
    key: str = "autoencoder",
) -> TrainableAutoencoder:
    """Return the autoencoder in a file or a folder as one whose weights can be trained; arguments as above.

    Raises:
        InputError: As above, or the class that accepts it only reconstructs.
        WeightsError: Its weights are broken.
    """
    advice = "Give the folder that 'save_pretrained' wrote, or the one file of its weights."
    found = open_autoencoder(path, device, options, where, key=key, advice=advice)
    if not isinstance(found, TrainableAutoencoder):
        got = f"'{type(found).__name__}', which only reconstructs"
        raise InputError(expected(key, "an autoencoder that can be trained", got))
    return found

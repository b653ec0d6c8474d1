"""Autoencoders in a single file: alone, or within a checkpoint of Stable Diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regionloss.autoencoders.diffusers_files import CONFIG, Read, class_of, configuration, refuse_missing
from regionloss.autoencoders.ldm_layout import current, derived, ldm_name
from regionloss.errors import InputError, WeightsError, expected, reason_of
from regionloss.weights import read_safetensors

#: What such a file has, whatever stands before it, and what it lacks where it has codes.
SIDES = ("encoder.", "decoder.")
CODES = ("quantize.embedding.weight", "quantize.embed.weight")
ANCHOR = "decoder.conv_in.weight"
SUFFIX = ".safetensors"


def is_single_file(path: Path) -> bool:
    """Whether a file of safetensors has the names of an autoencoder without codes; no weights are read."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != SUFFIX or not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as opened:
            names, metadata = list(opened.keys()), opened.metadata() or {}
    except (OSError, SafetensorError):
        return False
    both = all(any(side in name for name in names) for side in SIDES)
    return both and "config" not in metadata and not any(name.endswith(CODES) for name in names)


def read_file(path: Path, dtype: torch.dtype, config: Path | None) -> Read:
    """Return the model of a single file.

    Args:
        path: The file, of safetensors.
        dtype: Precision of the model.
        config: Its configuration, or a folder that holds one; None to derive it.

    Raises:
        InputError: There is nothing that tells what model it is.
        WeightsError: The file is broken, or not whole.
    """
    own = weights_of(read_safetensors(path, "an autoencoder")[0])
    where = str(path) if config is None else str(config)
    settings = derived(own, where) if config is None else configuration(config / CONFIG if config.is_dir() else config)
    kind = class_of(settings, where)
    try:
        with torch.device("meta"):
            model = kind.from_config(settings)
    except (TypeError, ValueError, IndexError) as error:
        advice = "Give the folder with its config.json, or that as the option 'config'."
        raise InputError(expected(where, f"settings of '{kind.__name__}'", reason_of(error), advice)) from error
    names = own_names(model, own, str(path))
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    try:
        whole = {name: own[other].reshape(wanted[name]).to(dtype) for name, other in names.items()}
    except RuntimeError as error:
        raise WeightsError(expected(str(path), f"shapes of '{kind.__name__}'", reason_of(error))) from error
    model.load_state_dict(whole, assign=True)
    return Read(
        model,
        model.to_json_string(),
        {name: own[other].dtype for name, other in names.items()},
        frozenset(names),
        (path,),
        {name: (other, own[other].shape) for name, other in names.items()},
        () if config is not None else (unknown_scale(model),),
    )


def weights_of(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the autoencoder's tensors under their own names, where others stand beside them."""
    anchor = next((name for name in held if name.endswith(ANCHOR)), ANCHOR)
    prefix = anchor.removesuffix(ANCHOR)
    return {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}


def own_names(model: Any, own: Mapping[str, Tensor], where: str) -> dict[str, str]:
    """Return the name in the file of each tensor of a model. Raises WeightsError where one is missing."""
    levels = len(getattr(model.decoder, "up_blocks", ()))
    older = {current(name): name for name in own}
    found = {}
    for name in model.state_dict():
        known = (older.get(name, name), ldm_name(name, levels))
        if other := next((one for one in known if one in own), None):
            found[name] = other
    refuse_missing(model.state_dict().keys() - found.keys(), where, type(model).__name__)
    return found


def unknown_scale(model: Any) -> str:
    """Return the sentence on what no tensor tells."""
    said = getattr(model.config, "scaling_factor", None)
    return (
        f"The configuration is derived from the tensors. They do not tell the scaling factor of latents: it is {said}, "
        "the default of the class. Give the model's own configuration (config=FOLDER) to keep another one in the saved "
        "folder; the single file needs none."
    )

"""Folders of diffusers' models, written as they were found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from regionloss.autoencoders.diffusers_files import CONFIG, STEM, WEIGHTS, Read, commonest
from regionloss.autoencoders.ldm_layout import ldm_names
from regionloss.disk import scratch, to_disk
from regionloss.errors import InputError, NotFiniteError, expected

METADATA = {"format": "pt"}
#: The one file in a folder that programs for single files load.
FILE = "autoencoder.safetensors"


def write(path: Path, read: Read) -> Path:
    """Write configuration and weights of a model into a folder; the configuration last, since without it none is there.

    Args:
        path: The folder; what else is in it stays.
        read: The model, and what its file said.

    Returns:
        The file for programs that load single files.

    Raises:
        InputError: There is another model in it, or the model's weights no longer have the names that were read.
        NotFiniteError: A weight is NaN or infinite, or would be in the file's precision.
        DiskError: The disk takes nothing.
    """
    refuse_other(path, read)
    tensors = stored(read)
    with to_disk(path), scratch(path) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / f"{STEM}.safetensors", metadata=METADATA)
        save_file(single(read, tensors), temporary / FILE, metadata=METADATA)
        (temporary / CONFIG).write_text(read.config, encoding="utf-8")
        path.mkdir(parents=True, exist_ok=True)
        for name in (f"{STEM}.safetensors", FILE, CONFIG):
            os.replace(temporary / name, path / name)
    return path / FILE


def refuse_other(path: Path, read: Read) -> None:
    """Raise InputError where a folder holds a model that would be mixed up with this one."""
    ours = {f"{STEM}.safetensors", FILE}
    others = sorted(file.name for pattern in WEIGHTS for file in path.glob(pattern) if file.name not in ours)
    if others or (path.is_dir() and any(file.resolve().parent == path.resolve() for file in read.files)):
        got = f"one with {others[0]}" if others else "the one that was read"
        raise InputError(expected(str(path), "a folder without weights to save to", got, "Name another one."))


def stored(read: Read) -> dict[str, Tensor]:
    """Return the model's tensors on the CPU, each in the precision that it had in the file."""
    usual = commonest(read.types)
    tensors: dict[str, Tensor] = {}
    held = read.model.state_dict()
    if odd := held.keys() ^ read.keys:
        advice = "Merge adapters into the weights, and unwrap the module, before it is saved."
        raise InputError(expected("the autoencoder", "the weights that were read", f"others: '{min(odd)}'", advice))
    for name, value in held.items():
        kind = read.types.get(name, usual) if value.is_floating_point() else value.dtype
        tensor = value.detach().to("cpu", kind).contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise NotFiniteError(expected(f"weight '{name}'", f"finite numbers in {kind}", "NaN or infinite ones"))
        tensors[name] = tensor
    return tensors


def single(read: Read, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names, and in the shapes, that programs for single files expect."""
    names = read.names or ldm_names(read.model)
    renamed = {}
    for name, value in tensors.items():
        other, shape = names.get(name, (name, value.shape))
        renamed[other] = value.reshape(shape)
    return renamed

"""Folders of diffusers' models: the model in one, and all that it takes to write it again as it was."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from regionloss.errors import InputError, WeightsError, expected, reason_of
from regionloss.weights import read_pickled, read_safetensors

CONFIG = "config.json"
#: How `save_pretrained` names weights; the name of a variant, or the number of a piece, stands before the suffix.
STEM = "diffusion_pytorch_model"
WEIGHTS = ("*.safetensors", "*.bin")
#: Names of an autoencoder within a pipeline's folder.
INSIDE = ("vae", "vqvae", "movq")
SHOWN = 3


@dataclass(frozen=True)
class Read:
    """A model that was read, and what its file says that the model does not.

    Attributes:
        model: The model, on the CPU.
        config: What `config.json` says.
        types: Precision of each tensor in the file, by its name in the model.
        keys: Names of the model's tensors.
        files: Files with the weights.
        names: Name and shape of each tensor in a single file, by its name in the model; empty where a folder was read.
        notes: Sentences for the user.
    """

    model: Any
    config: str
    types: Mapping[str, torch.dtype]
    keys: frozenset[str]
    files: tuple[Path, ...]
    names: Mapping[str, tuple[str, torch.Size]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def folder_of(path: Path) -> Path:
    """Return the folder of the autoencoder itself: below a pipeline's folder, or above a file of weights in it."""
    if path.is_file() and path.name.startswith(STEM) and (path.parent / CONFIG).is_file():
        return path.parent
    inside = (path / name for name in INSIDE)
    return next((folder for folder in inside if not (path / CONFIG).is_file() and (folder / CONFIG).is_file()), path)


def configuration(path: Path) -> dict[str, Any]:
    """Return what a configuration says. Raises InputError where it names no class."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "_class_name": str(found["_class_name"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        advice = "It lies beside the weights where these come from: copy it, too, or give the file of weights alone."
        raise InputError(
            expected(str(path), "the configuration of a model of diffusers", reason_of(error), advice)
        ) from error


def class_of(config: Mapping[str, Any], where: str) -> Any:
    """Return diffusers' class of a configuration. Raises InputError where it is no autoencoder of colour images."""
    name = config["_class_name"]
    try:
        kind = getattr(importlib.import_module("diffusers"), name)
    except AttributeError:
        raise InputError(expected(where, "a class of the installed diffusers", f"'{name}'")) from None
    if not hasattr(kind, "encode") or not hasattr(kind, "decode"):
        advice = "In the folder of a pipeline, its autoencoder is the folder 'vae'."
        raise InputError(expected(where, "an autoencoder", f"'{name}'", advice))
    # Wan 2.2 folds patches into channels.
    patches = int(config.get("patch_size") or 1) ** 2 if name == "AutoencoderKLWan" else 1
    for key in ("in_channels", "input_channels", "num_channels", "out_channels"):
        if (channels := config.get(key, 3 * patches)) != 3 * patches:
            got = f"{channels} in '{key}'"
            raise InputError(expected(where, f"an autoencoder of images with {3 * patches} channels", got))
    return kind


def read_folder(folder: Path, dtype: torch.dtype) -> Read:
    """Return the model of a folder that `save_pretrained` wrote.

    Raises:
        InputError: Its configuration is none of an autoencoder.
        WeightsError: Its weights are absent, not whole, or broken.
    """
    config = folder / CONFIG
    kind = class_of(configuration(config), str(config))
    name, (variant, files) = kind.__name__, weights_in(folder, kind.__name__)
    try:
        model, info = kind.from_pretrained(
            folder,
            torch_dtype=dtype,
            variant=variant,
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except NameError as error:  # diffusers imports what is not there as nothing
        got = f"an environment without it ({reason_of(error)})"
        raise InputError(
            expected(str(folder), f"transformers, which '{name}' is made of", got, "Install it.")
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(expected(str(folder), f"the weights of '{name}'", reason_of(error))) from error
    refuse_missing(info["missing_keys"], str(folder), name)
    notes = (f"Weights are those of the variant '{variant}'.",) if variant else ()
    keys = frozenset(model.state_dict())
    return Read(model, config.read_text(encoding="utf-8"), types_in(files), keys, files, notes=notes)


def weights_in(folder: Path, name: str) -> tuple[str | None, tuple[Path, ...]]:
    """Return the variant to ask for, None for the plain weights, and the files with them."""
    found = [file for pattern in WEIGHTS for file in sorted(folder.glob(pattern)) if file.name.startswith(STEM)]
    by_variant: dict[str | None, list[Path]] = {}
    for file in found:
        marks = [mark for mark in file.name.split(".")[1:-1] if mark != "index"]
        by_variant.setdefault(marks[0].split("-")[0] if marks else None, []).append(file)
    if None not in by_variant and len(by_variant) != 1:
        got = f"those of the variants {', '.join(map(str, by_variant))}" if by_variant else "none"
        advice = "Copy the ones that you mean into a folder of their own, with its config.json."
        advice = advice if by_variant else f"They are called '{STEM}.safetensors', and lie beside config.json."
        raise WeightsError(expected(str(folder), f"the weights of '{name}'", got, advice))
    variant = None if None in by_variant else next(iter(by_variant))
    files = by_variant[variant]
    preferred = [file for file in files if file.suffix == files[0].suffix]  # as diffusers prefers safetensors
    return variant, tuple(preferred)


def refuse_missing(missing: Iterable[str], where: str, name: str) -> None:
    """Raise WeightsError that names weights which a file lacks; diffusers would draw them at random."""
    if absent := sorted(missing):
        more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        got = f"none of {', '.join(absent[:SHOWN])}{more}"
        raise WeightsError(expected(where, f"every weight of '{name}'", got, "Is it whole, and of this class?"))


def types_in(files: Iterable[Path]) -> dict[str, torch.dtype]:
    """Return the precision of the tensors in files, by name."""
    found: dict[str, torch.dtype] = {}
    for file in files:
        tensors = (
            read_safetensors(file, "weights")[0] if file.suffix == ".safetensors" else read_pickled(file, "weights")
        )
        found |= {str(name): value.dtype for name, value in tensors.items() if isinstance(value, torch.Tensor)}
    return found


def commonest(types: Mapping[str, torch.dtype]) -> torch.dtype:
    """Return the precision that most weights have."""
    counted = Counter(dtype for dtype in types.values() if dtype.is_floating_point)
    return counted.most_common(1)[0][0] if counted else torch.float32

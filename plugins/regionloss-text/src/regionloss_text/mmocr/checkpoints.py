"""Weights of MMOCR's models: found by name or path, checked, loaded strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from regionloss.errors import WeightsError, expected
from regionloss.weights import SUFFIXES, load_state_dict, locate, origin_of, sha256_of

HASHED = re.compile(r"-(?P<start>[0-9a-f]{8})(\.pth|\.safetensors)$")


def find_checkpoint(weights: str, default: str) -> Path:
    """Return the file of a name that is registered, or of a path; `default` where `weights` is empty.

    Raises:
        WeightsError: It is missing, or is not the file that its name promises.
        UnknownNameError: No plugin registers weights of this name.
    """
    chosen = weights or default
    is_path = Path(chosen).suffix in SUFFIXES or Path(chosen).is_file()
    file = Path(chosen).expanduser() if is_path else locate(chosen)
    if not file.is_file():
        raise WeightsError(f"weight file {file} not found. Check the path.")
    return check_hash_in_name(file)


def check_hash_in_name(file: Path) -> Path:
    """Return the file, unless its name ends, as OpenMMLab's do, in the first 8 digits of another file's sha256.

    A file that `regionloss weights convert` wrote is judged by the hash of what it was made from.
    """
    named = HASHED.search(file.name)
    actual = origin_of(file) or sha256_of(file)
    if named is not None and not actual.startswith(named["start"]):
        advice = "Fetch it again: its name promises another file."
        raise WeightsError(expected(str(file), f"sha256 {named['start']}...", f"{actual[:8]}...", advice))
    return file


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint of MMOCR, of a bare state dict, or of what was converted from either.

    Raises:
        WeightsError: The file cannot be read, or holds more than tensors.
    """
    if file.suffix == ".safetensors":
        return load_state_dict(file)
    try:
        return load_state_dict(file, key="state_dict")
    except WeightsError as wrapped:
        try:
            return load_state_dict(file)
        except WeightsError:
            raise wrapped from None


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str, file: Path) -> None:
    """Load the tensors under `prefix` into a network: every one that it has, no other, of its shapes.

    Raises:
        WeightsError: They are not this network's.
    """
    given = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    wanted = network.state_dict()
    problems = {
        "missing": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
        "of another shape": [n for n, tensor in wanted.items() if n in given and given[n].shape != tensor.shape],
    }
    told = [f"{len(names)} {what} ('{prefix}{names[0]}')" for what, names in problems.items() if names]
    if told:
        where = f"{file}, '{prefix}*'" if prefix else str(file)
        advice = "Is it a checkpoint of this model?"
        raise WeightsError(
            expected(where, f"the {len(wanted)} tensors of {type(network).__name__}", ", ".join(told), advice)
        )
    network.load_state_dict(given, strict=True)

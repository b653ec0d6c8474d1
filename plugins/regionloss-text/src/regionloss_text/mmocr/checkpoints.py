"""Weights of MMOCR's models: found by name or path, checked, loaded strictly."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from regionloss.errors import WeightsError, expected
from regionloss.weights import SUFFIXES, load_strictly, locate, origin_of, sha256_of

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


def load_parts(network: nn.Module, file: Path) -> None:
    """Load the weights of each part of a network: every one that it has, no other, of its shapes.

    What a checkpoint holds of other parts is left out: those that are not built, means and deviations of images.

    Raises:
        WeightsError: The file cannot be read, holds more than tensors, or is another network's.
    """
    for name, part in network.named_children():
        if part.state_dict():
            load_strictly(part, file, key=name)

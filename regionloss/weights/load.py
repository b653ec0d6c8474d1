"""Reading tensors from a weight file, without running anything that the file asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionloss.errors import WeightsError, expected
from regionloss.hooks.records import WeightRecord
from regionloss.weights.entries import entries, walk
from regionloss.weights.formats import refuse_foreign
from regionloss.weights.locate import locate
from regionloss.weights.pickles import read_pickled
from regionloss.weights.tensor_files import read_safetensors

if TYPE_CHECKING:
    from torch import Tensor

#: Text that ends like this names a file, not weights.
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".tar", ".safetensors", ".onnx")


def load_state_dict(
    weights: str | os.PathLike[str] | WeightRecord, *, key: str = "", strip_prefix: str = ""
) -> dict[str, Tensor]:
    """Read the tensors of a weight file on the CPU, with torch's `weights_only` or from safetensors.

    Args:
        weights: Name of weights, or a file: a `Path`, or text that ends as weight files do or names a file.
        key: Entry that holds the tensors where a file wraps them, such as `"state_dict"`, or `"ema.module"` of two.
        strip_prefix: Taken off the names that begin with it, such as `"module."`.

    Returns:
        Tensors by name.

    Raises:
        WeightsError: The file is missing, has another hash, holds more than tensors, or cannot be read.
    """
    file = _file_of(weights)
    loaded = _read(file)
    if key:
        loaded = _entry(file, loaded, key)
    return _tensors(file, loaded, strip_prefix)


def read_whole(weights: str | os.PathLike[str] | WeightRecord) -> Any:
    """Return all that a weight file holds, as `load_state_dict` reads it."""
    return _read(_file_of(weights))


def _file_of(weights: str | os.PathLike[str] | WeightRecord) -> Path:
    named = isinstance(weights, str) and Path(weights).suffix not in SUFFIXES and not Path(weights).is_file()
    if isinstance(weights, WeightRecord):
        file = locate(weights)
    elif named:
        file = locate(str(weights))
    elif not (file := Path(weights).expanduser()).is_file():
        raise WeightsError(f"weight file {file} not found. Check the path.")
    refuse_foreign(file)
    return file


def _read(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return read_safetensors(file, "weights")[0]
    advice = f"If you trust where it came from, run 'regionloss weights convert {file} --trust'."
    return read_pickled(file, "weights", advice)


def _entry(file: Path, loaded: Any, key: str) -> Any:
    """Return an entry, or one inside another, their names joined by a dot."""
    for path, value in walk(loaded):
        if path == key:
            return value
    raise WeightsError(expected(str(file), f"an entry '{key}'", described(loaded), "Choose another key."))


def _tensors(file: Path, loaded: Any, strip_prefix: str) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(loaded, Mapping):
        raise WeightsError(expected(str(file), "tensors by name", described(loaded)))
    tensors: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            key = next((entry.path for entry in entries(loaded) if entry.path), "")
            advice = f"Choose the entry that holds them: key={key!r}." if key else ""
            raise WeightsError(expected(f"{file}, entry '{name}'", "a tensor", described(value), advice))
        tensors[str(name).removeprefix(strip_prefix)] = value
    return tensors


def described(value: Any) -> str:
    """Return in a few words what a file holds."""
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"entries {shown}" if names else "an empty dict"
    return type(value).__name__

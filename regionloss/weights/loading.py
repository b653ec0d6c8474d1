"""Reading tensors from a weight file, without running anything that the file asks for."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WeightsError, expected
from ..hooks.records import WeightRecord
from .finding import locate
from .formats import refuse_foreign

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
        key: Entry that holds the tensors where a file wraps them, such as `"state_dict"`.
        strip_prefix: Taken off the names that begin with it, such as `"module."`.

    Returns:
        Tensors by name.

    Raises:
        WeightsError: The file is missing, has another hash, holds more than tensors, or cannot be read.
    """
    file = _file_of(weights)
    loaded = _read(file)
    if key:
        if not isinstance(loaded, Mapping) or key not in loaded:
            raise WeightsError(expected(str(file), f"an entry '{key}'", _describe(loaded), "Choose another key."))
        loaded = loaded[key]
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
    import torch

    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        advice = f"If you trust where it came from, run 'regionloss weights convert {file} --trust'."
        raise WeightsError(expected(str(file), "tensors only", "other objects among them", advice)) from error
    except Exception as error:  # torch and safetensors raise half a dozen kinds for a broken file
        reason = str(error).strip().splitlines()
        told = f" ({reason[0].rstrip('.')})" if reason else ""
        raise WeightsError(f"{file}: cannot be read as weights{told}. Is the file whole?") from error


def _tensors(file: Path, loaded: Any, strip_prefix: str) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(loaded, Mapping):
        raise WeightsError(expected(str(file), "tensors by name", _describe(loaded)))
    tensors: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            keys = [str(k) for k, v in loaded.items() if isinstance(v, Mapping)]
            advice = f"Choose the entry that holds them: key={keys[0]!r}." if keys else ""
            raise WeightsError(expected(f"{file}, entry '{name}'", "a tensor", _describe(value), advice))
        tensors[str(name).removeprefix(strip_prefix)] = value
    return tensors


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"entries {shown}" if names else "an empty dict"
    return type(value).__name__

"""Converting a checkpoint that holds more than tensors into a safetensors file with its tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, WeightsError, expected, on_disk
from .cache import converted_path, part_path, sha256_of
from .inert import Inert, load_inert

if TYPE_CHECKING:
    from torch import Tensor

#: Entries under which training frameworks keep the network, in the order of trying them.
WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params", "model", "net", "network")


@dataclass(frozen=True)
class Conversion:
    """What was converted: the file, its hash, the entry that was read, and how many tensors it holds."""

    path: Path
    sha256: str
    entry: str
    tensors: int


def convert(file: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, key: str = "") -> Conversion:
    """Write the tensors of a checkpoint to a safetensors file, which says what it was made from.

    Nothing that the checkpoint asks for is run: classes that do not build tensors are replaced by inert
    stand-ins, and need not be installed.

    Args:
        file: A checkpoint that torch can read.
        out: File to write; beside the checkpoint where not given.
        key: Entry that holds the network; by default the first of `WRAPPERS` that is there, else the file itself.

    Raises:
        InputError: `out` is not a `.safetensors` file.
        WeightsError: The file is missing, cannot be read, or holds no tensors.
    """
    source = Path(file).expanduser()
    target = Path(out).expanduser() if out is not None else converted_path(source)
    if target.suffix != ".safetensors" or target == source:
        raise InputError(expected("out", "another file that ends in '.safetensors'", str(target)))
    if not source.is_file():
        raise WeightsError(f"weight file {source} not found. Check the path.")
    entry, tensors = tensors_in(source, _read(source), key)
    _write(target, tensors, source)
    return Conversion(target, sha256_of(target), entry, len(tensors))


def _read(source: Path) -> Any:
    import zipfile

    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as zipped:
            if any(name.endswith("/constants.pkl") for name in zipped.namelist()):
                advice = "A program cannot be converted; ask its author for the state dict."
                raise WeightsError(expected(str(source), "a checkpoint", "a TorchScript program", advice))
    try:
        return load_inert(source)
    except Exception as error:  # whatever a broken or odd pickle raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(f"{source}: cannot be read as a checkpoint ({reason}). Is the file whole?") from error


def tensors_in(source: Path, loaded: Any, key: str = "") -> tuple[str, dict[str, Tensor]]:
    """Return the entry that holds the network (empty for the whole file), and its tensors by name."""
    if key:
        if not isinstance(loaded, Mapping) or key not in loaded:
            names = ", ".join(map(str, loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__
            raise WeightsError(expected(str(source), f"an entry '{key}'", names, "Choose another key."))
        entries = [key]
    else:
        entries = [name for name in WRAPPERS if isinstance(loaded, Mapping) and name in loaded] + [""]
    for entry in entries:
        if tensors := dict(_flatten(loaded[entry] if entry else loaded)):
            return entry, tensors
    raise WeightsError(expected(str(source), "tensors by name", "none", "Name the entry that holds them with --key."))


def _flatten(value: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors of a state dict, or of a module that was saved whole (and is a stand-in now)."""
    from torch import Tensor

    if isinstance(value, Mapping):
        return [(str(name), tensor) for name, tensor in value.items() if isinstance(tensor, Tensor)]
    if not isinstance(value, Inert):
        return []
    state = vars(value)
    found = [pair for part in ("_parameters", "_buffers") for pair in _flatten(state.get(part, {}))]
    for child, module in state.get("_modules", {}).items():
        found += [(f"{child}.{name}", tensor) for name, tensor in _flatten(module)]
    return found


def _write(target: Path, tensors: dict[str, Tensor], source: Path) -> None:
    from safetensors.torch import save_file

    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"format": "pt", "source_file": source.name, "source_sha256": sha256_of(source)}
    part = part_path(target)
    try:
        with on_disk(target):
            save_file(whole, part, metadata)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)

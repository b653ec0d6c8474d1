"""Converting a checkpoint that holds more than tensors into a safetensors file with its tensors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionloss.disk import whole
from regionloss.errors import InputError, WeightsError, expected
from regionloss.weights.cache import converted_path, sha256_of
from regionloss.weights.entries import entries
from regionloss.weights.formats import refuse_foreign
from regionloss.weights.load import described
from regionloss.weights.pickles import read_pickled, readable

if TYPE_CHECKING:
    from torch import Tensor

#: Entries under which training frameworks keep the network, in the order of trying them.
WRAPPERS = (
    *("state_dict", "state_dict_backbone", "model_state_dict"),
    *("params_ema", "params", "model", "module", "net", "network"),
)


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
    if not source.is_file():
        raise WeightsError(f"weight file {source} not found. Check the path.")
    refuse_foreign(source)  # before what `out` would be called
    target = Path(out).expanduser() if out is not None else converted_path(source)
    if target.suffix != ".safetensors" or target == source:
        raise InputError(expected("out", "another file that ends in '.safetensors'", str(target)))
    with readable(source, "a checkpoint"):
        entry, tensors = tensors_in(source, read_pickled(source, "a checkpoint", trust=True), key)
        _write(target, tensors, source)
    return Conversion(target, sha256_of(target), entry, len(tensors))


def tensors_in(source: Path, loaded: Any, key: str = "") -> tuple[str, dict[str, Tensor]]:
    """Return the entry that holds the network (empty for the whole file), and its tensors by name."""
    found = dict(entries(loaded))
    if key:
        if key not in found:
            raise WeightsError(expected(str(source), f"an entry '{key}'", described(loaded), "Choose another key."))
        return key, found[key]
    inner = list(found)
    for entry in (*WRAPPERS, "", *(inner if len(inner) == 1 else ())):
        if entry in found:
            return entry, found[entry]
    raise WeightsError(expected(str(source), "tensors by name", "none", "Name the entry that holds them with --key."))


def _write(target: Path, tensors: dict[str, Tensor], source: Path) -> None:
    from safetensors.torch import save_file

    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    copies = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"format": "pt", "source_file": source.name, "source_sha256": sha256_of(source)}
    with whole(target) as part:
        save_file(copies, part, metadata)

"""Files of safetensors: tensors by name, and texts about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regionloss.weights.pickles import readable

if TYPE_CHECKING:
    from torch import Tensor


def read_safetensors(file: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file, on the CPU, and the texts that it holds about them.

    Args:
        file: A file that is there.
        what: What it should be, for sentences.

    Raises:
        WeightsError: The file is broken, or of another kind.
    """
    from safetensors import safe_open

    from regionloss.weights.plain import Plain

    with readable(file, what), safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
        named: dict[str, Tensor] = Plain().of(tensors)
        return named, dict(opened.metadata() or {})

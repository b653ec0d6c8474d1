"""Weight files that other libraries keep on this machine: the caches of torch.hub and of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch


def of_torch_hub(address: str) -> Path:
    """Return where torch.hub keeps what it fetched from an address; the file may not be there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlparse(address).path).name


def of_hugging_face(repository: str, names: tuple[str, ...]) -> Path | None:
    """Return the first of these files of a repository in the Hugging Face cache; None where none is there.

    Nothing is asked of the network.
    """
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        if isinstance(found := try_to_load_from_cache(repository, name), str):
            return Path(found)
    return None

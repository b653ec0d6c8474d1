"""Files of a run: the state to go on from, and tokenizers to use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from insighttok_ref.tokenizer.model import InsightTokenizer
from regionloss.errors import WeightsError, expected

STATE_VERSION = 1


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a training state so that a crash leaves the old one or the new one, never half of one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        torch.save({"version": STATE_VERSION, **state}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    if path.exists():
        path.replace(path.with_suffix(".previous.pt"))
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state.

    Raises:
        WeightsError: There is none, or it is damaged, or of another version.
    """
    if not path.is_file():
        previous = path.with_suffix(".previous.pt")
        advice = f"Rename {previous} to go on from the state before." if previous.is_file() else "Is it a run's folder?"
        raise WeightsError(f"{path}: expected a training state, got no such file. {advice}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a broken file
        advice = f"Put {path.with_suffix('.previous.pt').name} in its place, if it is there."
        raise WeightsError(expected(str(path), "a training state", "a file that cannot be read", advice)) from error
    if not isinstance(state, dict) or state.get("version") != STATE_VERSION:
        got = state.get("version") if isinstance(state, dict) else type(state).__name__
        raise WeightsError(expected(str(path), f"a training state of version {STATE_VERSION}", str(got)))
    return state


def save_tokenizer(model: InsightTokenizer, path: Path) -> None:
    """Write weights and configuration of a tokenizer as safetensors, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, temporary, metadata={"config": json.dumps(model.config), "fingerprint": model.fingerprint})
    temporary.replace(path)


def load_tokenizer(path: Path) -> InsightTokenizer:
    """Read a tokenizer that `save_tokenizer` wrote, in eval mode.

    Raises:
        WeightsError: The file is absent, broken, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(expected(str(path), "a tokenizer as safetensors", "a file that cannot be read")) from error
    if "config" not in metadata:
        advice = "Export it with insighttok_ref.training.checkpoint.save_tokenizer."
        raise WeightsError(expected(str(path), "a tokenizer with its configuration", "tensors alone", advice))
    model = InsightTokenizer(**json.loads(metadata["config"]))
    model.load_state_dict(tensors)
    return model.eval()

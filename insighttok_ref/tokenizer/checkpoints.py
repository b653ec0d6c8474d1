"""Files of a tokenizer: weights with their configuration."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from insighttok_ref.tokenizer.model import InsightTokenizer
from regionloss.errors import WeightsError, expected


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
        advice = "Export it with insighttok_ref.tokenizer.checkpoints.save_tokenizer."
        raise WeightsError(expected(str(path), "a tokenizer with its configuration", "tensors alone", advice))
    model = InsightTokenizer(**json.loads(metadata["config"]))
    model.load_state_dict(tensors)
    return model.eval()

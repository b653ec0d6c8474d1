"""Which file a folder stands for, and which files are no whole tokenizer."""

from __future__ import annotations

from pathlib import Path

from regionloss.errors import WeightsError, expected

#: What is read of a folder: the tokenizer of a run, the state of its newest checkpoint, what frameworks write.
PLACES = (
    *("residual.safetensors", "tokenizer.safetensors"),
    *("state.pt", "step-*[0-9]/state.pt", "checkpoints/step-*[0-9]/state.pt"),
    *("mp_rank_00_model_states.pt", "*/mp_rank_00_model_states.pt"),
    *("model.safetensors", "pytorch_model.bin"),
)
#: Files with a piece of a network, and what joins them.
PIECES = {
    "*.distcp": "Join them with 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE'.",
    "zero_pp_rank_*_model_states.pt": "Join them with DeepSpeed's 'zero_to_fp32.py', which lies beside their folder.",
    f"*-{'[0-9]' * 5}-of-{'[0-9]' * 5}.*": "Load them with the library that wrote them, and save the state dict.",
}
WHOLE = "-00001-of-00001."


def file_of(path: Path) -> Path:
    """Return the file to read: in the folder of a run, of a checkpoint, or of a framework, the one that is meant.

    Raises:
        WeightsError: There is none, or it is empty, or one of several that are a tokenizer together.
    """
    if path.is_dir():
        patterns = (*PLACES, *PIECES, *(f"*/{piece}" for piece in PIECES))
        places = (place for pattern in patterns for place in sorted(path.glob(pattern), reverse=True))
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise WeightsError(expected(str(path), "a tokenizer file", "a folder", "Name a file in it."))
        path = found
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file. Check the path.")
    for piece, advice in PIECES.items():
        if path.match(piece) and WHOLE not in path.name:
            raise WeightsError(expected(str(path), "a whole tokenizer file", "one of several pieces", advice))
    if not path.stat().st_size:
        raise WeightsError(expected(str(path), "a tokenizer file", "an empty file", "Copy or download it again."))
    return path

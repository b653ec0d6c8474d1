"""Folders as `transformers` writes models: a configuration, weights in one file or in shards, a text tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from regionloss.errors import WeightsError, expected
from regionloss.weights import read_safetensors, readable

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TEXT, TEXT_CONFIG = "tokenizer.json", "tokenizer_config.json"
PROCESSOR, PREPROCESSOR = "processor_config.json", "preprocessor_config.json"
SHARDS = "model-*-of-*.safetensors"
JANUS, LLAMA = "janus", "llama"
#: What transformers calls the tokens of a prompt: what `PromptFormat` calls them.
SPECIALS = {"bos_token": "begin", "boi_token": "start", "pad_token": "pad"}


def folder_of(path: Path) -> Path:
    """Return the folder of a model: the path, or where the file lies."""
    return path.parent if path.is_file() else path


def kind_in(path: Path) -> str:
    """Return what the configuration in a folder, or beside a file, calls its model; empty where there is none."""
    try:
        told = json.loads((folder_of(path) / CONFIG).read_text(encoding="utf-8"))
        return str(told["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_json(file: Path, what: str) -> dict[str, Any]:
    """Return the object of a JSON file. Raises WeightsError where there is none."""
    if not file.is_file():
        advice = "" if file.parent.exists() else "Check the path."
        raise WeightsError(expected(str(file.parent), what, f"no file {file.name} there", advice))
    with readable(file, what):
        found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise WeightsError(expected(str(file), "an object of JSON", type(found).__name__))
    return found


def read_weights(folder: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a folder, and the texts that its files hold about them.

    Args:
        folder: One with `model.safetensors`, or with shards of it.
        what: What it should be, for sentences.

    Raises:
        WeightsError: A file is missing or damaged, or a tensor is in none of them.
    """
    tensors: dict[str, Tensor] = {}
    told: dict[str, str] = {}
    places = places_in(folder, what)
    for file in files_of(folder, what, places):
        found, texts = read_safetensors(file, what)
        tensors |= found
        told |= texts
    if lacking := [name for name in places if name not in tensors]:
        got = f"no '{lacking[0]}' in {places[lacking[0]]}"
        raise WeightsError(expected(str(folder), f"the {len(places)} weights of {INDEX}", got, "Copy it again."))
    return tensors, told


def places_in(folder: Path, what: str) -> dict[str, str]:
    """Return which file has which weight, as the index of a folder says; empty where there is none."""
    index = folder / INDEX
    found: dict[str, str] = read_json(index, what).get("weight_map", {}) if index.is_file() else {}
    return found


def files_of(folder: Path, what: str, places: Mapping[str, str]) -> list[Path]:
    """Return the files of weights of a folder, every one of which is there."""
    if places:
        names = sorted(set(places.values()))
    elif (folder / WEIGHTS).is_file():
        names = [WEIGHTS]
    else:
        names = shards_of(folder, what)
    if lacking := [name for name in names if not (folder / name).is_file()]:
        got = f"no {lacking[0]} there"
        raise WeightsError(expected(str(folder), f"{len(names)} files of weights", got, "Copy or download it again."))
    return [folder / name for name in names]


def shards_of(folder: Path, what: str) -> list[str]:
    """Return the names of shards that no index lists, those that are missing too."""
    found = sorted(path.name for path in folder.glob(SHARDS))
    if not found:
        pickled = any(folder.glob("pytorch_model*.bin"))
        advice = "Load it with transformers, and save it with save_pretrained." if pickled else ""
        got = "a pickle" if pickled else "none"
        raise WeightsError(expected(str(folder), f"{what}: {WEIGHTS}, or shards of it", got, advice))
    begun, _, count = found[0].removesuffix(".safetensors").rpartition("-of-")
    digits = len(begun.rpartition("-")[2])
    if not count.isdigit():
        raise WeightsError(expected(str(folder), "shards that say how many they are", found[0]))
    return [f"model-{number:0{digits}d}-of-{count}.safetensors" for number in range(1, int(count) + 1)]


def special_names(folder: Path) -> dict[str, str]:
    """Return the tokens of prompts that a folder's text tokenizer names, as `PromptFormat` takes them."""
    if not (folder / TEXT_CONFIG).is_file():
        return {}
    told = read_json(folder / TEXT_CONFIG, "options of a text tokenizer")
    tokens = {ours: told.get(theirs) for theirs, ours in SPECIALS.items()}
    texts = {ours: one.get("content") if isinstance(one, dict) else one for ours, one in tokens.items()}
    return {ours: text for ours, text in texts.items() if isinstance(text, str)}

"""Files of a tokenizer: ours, with their configuration, and those of the published code."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from insighttok_ref.tokenizer.layouts import GROUPS, KINDS, Tensors, configuration, filled, kind_of, renamed
from insighttok_ref.tokenizer.model import InsightTokenizer
from regionloss.errors import (
    InputError,
    RegionLossError,
    UnknownNameError,
    WeightsError,
    did_you_mean,
    expected,
    on_disk,
)
from regionloss.weights.inert import load_inert

#: Entries under which a file keeps the network, in the order of trying them; those of averaged weights come first,
#: as in the published evaluation code.
ENTRIES = ("ema", "state_dict", "model")
SHOWN = 5

Layout = Literal["ours", "official", "safetensors"]


class Found(NamedTuple):
    """A tokenizer that was read: the model, the kind of its file, and what the file lacked and was filled in."""

    model: InsightTokenizer
    kind: str
    filled: tuple[str, ...]


def save_tokenizer(model: InsightTokenizer, path: Path, layout: Layout = "ours") -> None:
    """Write a tokenizer, complete or not at all.

    Args:
        model: On any device.
        path: The file; one that is there is replaced.
        layout: "ours" is safetensors with the configuration, "official" the published `.pt` file, "safetensors"
            tensors alone under the published keys.

    Raises:
        InputError: The published layout cannot say what the model is.
    """
    if layout not in ("ours", "official", "safetensors"):
        raise UnknownNameError(f"no layout is named {layout!r}. {did_you_mean(layout, ('ours', *_REST))}")
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if layout != "ours":
        tensors = _as_published(model, tensors, layout)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with on_disk(path):
            if layout == "official":
                torch.save({"model": tensors}, temporary)
            else:
                metadata = {"config": json.dumps(model.config), "fingerprint": model.fingerprint}
                save_file(tensors, temporary, metadata={"format": "pt"} if layout == "safetensors" else metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_REST = ("official", "safetensors")


def _as_published(model: InsightTokenizer, tensors: Tensors, layout: Layout) -> Tensors:
    """Return the tensors that the published layout has, or say why it cannot hold the model."""
    wanted = {"patch_size": 1, "norm_groups": GROUPS}
    for name, value in wanted.items():
        if model.config[name] != value:
            got = f"{name} {model.config[name]}"
            raise InputError(
                expected(f"layout '{layout}'", f"{name} {value}", got, "Its files cannot say so; use 'ours'.")
            )
    if model.quantize.l2_normalize:
        return tensors
    if layout == "official":
        advice = "The published code would normalise them; use 'ours'."
        raise InputError(expected(f"layout '{layout}'", "codes that are normalised", "plain codes", advice))
    # Without the statistics of the published quantiser it reads as what it is: taming's, with plain codes.
    statistics = ("quantize.cluster_size", "quantize.embed_avg", "quantize.codebook_used")
    return {name: value for name, value in tensors.items() if name not in statistics}


def load_tokenizer(path: Path) -> InsightTokenizer:
    """Read a tokenizer of any kind that `read_tokenizer` knows, in eval mode.

    Raises:
        WeightsError: The file is absent, broken, or holds something else.
    """
    return read_tokenizer(path).model


def read_tokenizer(path: Path, kind: str | None = None, *, trust: bool = False) -> Found:
    """Read a tokenizer file: ours, the published InsightTok's, a VQGAN of taming-transformers or of LlamaGen.

    The configuration of the last three is inferred from names and shapes.

    Args:
        path: The file.
        kind: One of "ours", "official", "taming", "llamagen"; None to see for oneself.
        trust: Also read pickles that hold more than tensors; what else they hold is not run.

    Raises:
        UnknownNameError: There is no such kind.
        WeightsError: The file is absent, broken, of another kind, or does not hold what its kind has.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(f"no kind of tokenizer file is named {kind!r}. {did_you_mean(kind, KINDS)}")
    loaded, config = _read(_file(path), trust)
    tensors = _tensors(path, loaded)
    seen = "ours" if config is not None else kind_of(tensors)
    if seen is None:
        names = ", ".join(list(tensors)[:SHOWN]) or "none"
        raise WeightsError(expected(str(path), "the weights of a VQ tokenizer", f"tensors such as {names}"))
    if kind is not None and kind != seen:
        raise WeightsError(expected(str(path), f"a file of kind '{kind}'", f"one of kind '{seen}'", f"Say '{seen}'."))
    added: tuple[str, ...] = ()
    if config is None:
        tensors = renamed(tensors, seen)
        config = configuration(tensors, seen, str(path))
        tensors, added = filled(tensors, config, seen)
    return Found(_build(config, tensors, str(path)), seen, added)


def _file(path: Path) -> Path:
    """Return the file to read; here folders of runs will be understood."""
    if path.is_dir():
        raise WeightsError(expected(str(path), "a tokenizer file", "a folder", "Name a file in it."))
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file. Check the path.")
    if not path.stat().st_size:
        raise WeightsError(expected(str(path), "a tokenizer file", "an empty file", "Copy or download it again."))
    return path


def _read(path: Path, trust: bool) -> tuple[Any, dict[str, Any] | None]:
    """Return what a file holds, and the configuration if it is one of ours."""
    with path.open("rb") as stream:
        start = stream.read(9)
    try:
        if path.suffix == ".safetensors" or start[8:] == b"{":
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(metadata["config"]) if "config" in metadata else None
        if trust:
            return load_inert(path), None
        return torch.load(path, map_location="cpu", weights_only=True), None
    except pickle.UnpicklingError as error:
        if start[:2] != b"PK" and start[:1] != b"\x80":
            raise WeightsError(expected(str(path), "a tokenizer file", "a file of another kind")) from error
        advice = "If you trust where it came from, say --trust (trust=True): what is no tensor is left out, not run."
        raise WeightsError(expected(str(path), "tensors only", "other objects among them", advice)) from error
    except Exception as error:  # torch and safetensors raise half a dozen kinds for a broken file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(f"{path}: cannot be read as a tokenizer file ({reason}). Is it whole?") from error


def _tensors(path: Path, loaded: Any) -> Tensors:
    """Return the tensors of the network, wherever the file keeps them."""
    if isinstance(loaded, Mapping):
        for part in [*(loaded.get(entry) for entry in ENTRIES), loaded]:
            if isinstance(part, Mapping):
                found = {str(name): value for name, value in part.items() if isinstance(value, Tensor)}
                if found:
                    return {name.removeprefix("module.").removeprefix("_orig_mod."): found[name] for name in found}
    got = "an empty dict" if loaded == {} else type(loaded).__name__
    raise WeightsError(expected(str(path), "tensors by name", got))


def _build(config: Mapping[str, Any], tensors: Tensors, where: str) -> InsightTokenizer:
    """Return the tokenizer in eval mode, every tensor of which was in the file."""
    try:
        with torch.device("meta"):
            model = InsightTokenizer(**config)
    except (TypeError, ValueError, RegionLossError) as error:
        raise WeightsError(f"{where}: its configuration does not build a tokenizer ({error}).") from error
    wanted = model.state_dict()
    _same_names(wanted, tensors, where)
    bad = [name for name in wanted if wanted[name].shape != tensors[name].shape]
    if bad:
        shapes = f"{tuple(wanted[bad[0]].shape)}", f"{tuple(tensors[bad[0]].shape)}"
        more = f" (and {len(bad) - 1} more of a wrong shape)" if bad[1:] else ""
        raise WeightsError(expected(f"{where}, '{bad[0]}'", f"a shape {shapes[0]}", f"{shapes[1]}{more}"))
    whole = {name: tensors[name].to(wanted[name].dtype) for name in wanted}
    model.load_state_dict(whole, assign=True)
    if model.channels_last:
        model.to(memory_format=torch.channels_last)
    return model.eval()


def _same_names(wanted: Mapping[str, Tensor], tensors: Tensors, where: str) -> None:
    """Raise WeightsError that names what is missing, and what nobody expects."""
    problems = []
    for what, names in (
        ("without", [name for name in wanted if name not in tensors]),
        ("with the unknown", [name for name in tensors if name not in wanted]),
    ):
        if names:
            more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
            problems.append(f"{what} {', '.join(names[:SHOWN])}{more}")
    if problems:
        wanted_of = f"the {len(wanted)} tensors of such a tokenizer"
        raise WeightsError(expected(where, wanted_of, f"a file {' and '.join(problems)}", "Is it whole?"))

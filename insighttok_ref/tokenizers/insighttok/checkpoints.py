"""Files of a tokenizer: ours, with their configuration, and those of the published code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from insighttok_ref.quantizers.build import DEFAULT
from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.candidates import Candidate, candidates
from insighttok_ref.tokenizers.insighttok.codes import Codes, choose
from insighttok_ref.tokenizers.insighttok.folders import file_of
from insighttok_ref.tokenizers.insighttok.layouts import (
    GROUPS,
    KINDS,
    Tensors,
    configuration,
    filled,
    kind_of,
    other_layers,
    renamed,
)
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.tokenizers.insighttok.residual import RESIDUAL, ResidualTokenizer, base_places, no_base
from regionloss.disk import whole
from regionloss.errors import InputError, RegionLossError, UnknownNameError, WeightsError, did_you_mean, expected
from regionloss.weights import entries, read_pickled, read_safetensors, readable

SHOWN = 5
#: Entries that tell the state of a run of ours.
OF_A_RUN = {"part", "finished"}
WHAT = "a tokenizer file"

Layout = Literal["ours", "official", "safetensors"]


class Found(NamedTuple):
    """A tokenizer that was read: the model, the kind of its file, what the file lacked and was filled in, sentences
    on what was taken where the file leaves a choice, and name and precision in the file of each tensor of the model."""

    model: Tokenizer
    kind: str
    filled: tuple[str, ...]
    notes: tuple[str, ...] = ()
    stored: Mapping[str, tuple[str, torch.dtype]] = MappingProxyType({})


def save_tokenizer(model: Tokenizer, path: Path, layout: Layout = "ours") -> None:
    """Write a tokenizer, complete or not at all.

    Args:
        model: The tokenizer, on any device.
        path: The file; one that is there is replaced.
        layout: "ours" is safetensors with the configuration, "official" the published `.pt` file, "safetensors"
            tensors alone under the published keys.

    Raises:
        InputError: The published layout cannot say what the model is.
    """
    if layout not in get_args(Layout):
        raise UnknownNameError(f"no layout is named {layout!r}. {did_you_mean(layout, get_args(Layout))}")
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.stored().items()}
    if layout != "ours":
        tensors = _as_published(model, tensors, layout)
    with whole(path) as temporary:
        if layout == "official":
            torch.save({"model": tensors}, temporary)
        else:
            metadata = {"config": json.dumps(model.config), "fingerprint": model.fingerprint}
            save_file(tensors, temporary, metadata={"format": "pt"} if layout == "safetensors" else metadata)


def _as_published(model: Tokenizer, tensors: Tensors, layout: Layout) -> Tensors:
    """Return the tensors that the published layout has, or say why it cannot hold the model."""
    if "use" in model.config:
        got = f"'{model.config['use']}'"
        raise InputError(expected(f"layout '{layout}'", "an InsightTok tokenizer", got, "Use 'ours'."))
    wanted = {"patch_size": 1, "norm_groups": GROUPS}
    for name, value in wanted.items():
        if model.config[name] != value:
            got = f"{name} {model.config[name]}"
            raise InputError(
                expected(f"layout '{layout}'", f"{name} {value}", got, "Its files cannot say so; use 'ours'.")
            )
    if "use" in model.config["quantizer"]:
        got = f"'{model.config['quantizer']['use']}'"
        raise InputError(expected(f"layout '{layout}'", f"the quantizer '{DEFAULT}'", got, "Use 'ours'."))
    if model.quantize.described() == "normalised":
        return tensors
    if layout == "official":
        advice = "The published code would normalise them; use 'ours'."
        raise InputError(expected(f"layout '{layout}'", "codes that are normalised", "plain codes", advice))
    # Without the statistics of the published quantiser it reads as what it is: taming's, with plain codes.
    statistics = {f"quantize.{name}" for name in model.quantize.statistics}
    return {name: value for name, value in tensors.items() if name not in statistics}


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer of any kind that `read_tokenizer` knows, in eval mode.

    Raises:
        WeightsError: The file is absent, broken, or holds something else.
    """
    return read_tokenizer(path).model


def read_tokenizer(path: Path, kind: str | None = None, *, trust: bool = False, codebook: Codes | None = None) -> Found:
    """Read a tokenizer file: ours, the published InsightTok's, a VQGAN of taming-transformers or of LlamaGen.

    The configuration of the last three is inferred from names and shapes. Where a file has several networks, or one
    behind prefixes, averaged weights are taken if they are whole, and what was taken is said.

    Args:
        path: The file, or the folder of a run, of one of its checkpoints, of DeepSpeed's or of accelerate's.
        kind: One of "ours", "official", "taming", "llamagen"; None to see for oneself.
        trust: Also read pickles that hold more than tensors; what else they hold is not run.
        codebook: "normalised" or "plain": how codes are compared; None to see for oneself.

    Raises:
        UnknownNameError: There is no such kind.
        WeightsError: The file is absent, broken, of another kind, does not hold what its kind has, or does not show
            how codes are compared.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(f"no kind of tokenizer file is named {kind!r}. {did_you_mean(kind, KINDS)}")
    path = file_of(path)
    with readable(path, WHAT):
        return _whole(path, kind, trust, codebook)


def tokenizer_of(tensors: Tensors, codebook: Codes, where: str) -> Found:
    """Return the tokenizer whose weights these are, under the names of a published one.

    Args:
        tensors: Weights by name.
        codebook: "normalised" or "plain": how codes are compared.
        where: Where they are from, for sentences.

    Raises:
        WeightsError: They are no whole tokenizer.
    """
    return _found(Candidate("", tensors), tensors, None, None, codebook, where)


def _whole(path: Path, kind: str | None, trust: bool, codebook: Codes | None) -> Found:
    """Return the tokenizer of a file, which may need that of another one."""
    loaded, config = _read(path, trust)
    if config is None or config.get("use") != RESIDUAL:
        return _first_whole(path, loaded, config, kind, codebook)
    if kind is not None:
        raise WeightsError(expected(str(path), f"a file of kind '{kind}'", f"one of kind '{RESIDUAL}'"))
    told = config["base"]
    for place in (places := base_places(path, told["file"])):
        base = _first_whole(place, *_read(place, trust), None, codebook or told["codebook"]).model
        if base.fingerprint == told["fingerprint"] and isinstance(base, InsightTokenizer):
            model = ResidualTokenizer(base, place)
            _check_tensors(model.stored(), loaded, str(path))
            model.load_state_dict(loaded, strict=False)
            return Found(model.eval(), RESIDUAL, (), stored={name: (name, loaded[name].dtype) for name in loaded})
    raise no_base(path, told, places)


def _first_whole(
    path: Path, loaded: Any, config: dict[str, Any] | None, kind: str | None, codebook: Codes | None
) -> Found:
    """Return the first whole tokenizer of what a file holds."""
    if config is not None:
        found = [Candidate("", loaded)]
    else:
        found, config = candidates(loaded), _own_config(loaded)
    problems: list[tuple[int, WeightsError]] = []
    notes: list[str] = []
    for one in found:
        try:
            whole = _found(one, loaded, config, kind, codebook, str(path))
        except WeightsError as error:
            problems.append((len(one.tensors), error))
            notes.append(f"No whole tokenizer is in {one.where}." if one.where else "")
            continue
        taken = f"Read from {one.where}." if one.where else ""
        return whole._replace(notes=tuple(filter(None, (*notes, taken, *whole.notes))))
    if not problems:
        raise _nothing(path, loaded)
    raise max(problems, key=lambda problem: problem[0])[1]


def _found(
    one: Candidate, loaded: Any, config: dict[str, Any] | None, kind: str | None, codebook: Codes | None, where: str
) -> Found:
    """Return the tokenizer that a candidate is, or raise a WeightsError that says why it is none."""
    tensors = one.tensors
    seen = "ours" if config is not None else kind_of(tensors)
    if seen is None:
        raise _nothing(Path(where), tensors)
    if kind is not None and kind != seen:
        raise WeightsError(expected(where, f"a file of kind '{kind}'", f"one of kind '{seen}'", f"Say '{seen}'."))
    if config is not None:
        model = _build(config, tensors, where)
        if codebook not in (None, model.quantize.described()):
            raise WeightsError(expected(where, f"codes that are {codebook}", "others, as its configuration says"))
        return Found(model, seen, (), stored={name: (name, value.dtype) for name, value in tensors.items()})
    names = renamed({name: name for name in tensors}, seen)
    stored = {name: (other, tensors[other].dtype) for name, other in names.items()}
    tensors = renamed(tensors, seen)
    normalised, told = choose(codebook, tensors, seen, loaded, where)
    config = configuration(tensors, seen, where, normalised)
    tensors, added = filled(tensors, config, seen)
    return Found(_build(config, tensors, where), seen, added, (told,) if told else (), stored)


def _own_config(loaded: Any) -> dict[str, Any] | None:
    """Return the configuration that the state of a stopped run holds."""
    if not isinstance(loaded, Mapping) or not {*OF_A_RUN, "tokenizer"} <= loaded.keys():
        return None
    config: dict[str, Any] = json.loads(loaded["tokenizer"])
    return config


def _nothing(path: Path, loaded: Any) -> WeightsError:
    """Return the sentence for a file that holds no tokenizer."""
    if isinstance(loaded, Mapping) and "optimizer_state_dict" in loaded:
        advice = "Name the file that ends in 'model_states.pt' beside it."
        return WeightsError(expected(str(path), "the weights of a VQ tokenizer", "the state of an optimizer", advice))
    if isinstance(loaded, Mapping) and loaded.keys() >= OF_A_RUN:
        advice = "Name the 'tokenizer.safetensors' in the folder of a finished part."
        return WeightsError(expected(str(path), "a tokenizer", "the state of a run between two parts", advice))
    known = [name for _, tensors in entries(loaded) for name in tensors]
    if known:
        got = f"tensors such as {', '.join(known[:SHOWN])}"
        return WeightsError(expected(str(path), "the weights of a VQ tokenizer", got))
    return WeightsError(
        expected(str(path), "tensors by name", "an empty dict" if loaded == {} else type(loaded).__name__)
    )


def _read(path: Path, trust: bool) -> tuple[Any, dict[str, Any] | None]:
    """Return what a file holds, and the configuration if it is one of ours."""
    with path.open("rb") as stream:
        start = stream.read(9)
    if path.suffix != ".safetensors" and start[8:] != b"{":
        advice = "If you trust where it came from, say --trust (trust=True): what is no tensor is left out, not run."
        return read_pickled(path, WHAT, advice, trust=trust), None
    tensors, metadata = read_safetensors(path, WHAT)
    return tensors, json.loads(metadata["config"]) if "config" in metadata else None


def _build(config: Mapping[str, Any], tensors: Tensors, where: str) -> Tokenizer:
    """Return the tokenizer in eval mode, every tensor of which was in the file."""
    blocks = (config.get("num_res_blocks"), len(config.get("ch_mult") or ()))
    if max(one for one in blocks if isinstance(one, int)) > len(tensors):  # to build them would take for ever
        got = f"{len(tensors)} tensors for {blocks[1]} levels of {blocks[0]} blocks"
        raise WeightsError(expected(where, "a tensor for each layer", got, "Is it whole?"))
    try:
        with torch.device("meta"):
            model = build_tokenizer(config)
    except (TypeError, ValueError, RegionLossError) as error:
        raise WeightsError(f"{where}: its configuration does not build a tokenizer ({error}).") from error
    wanted = model.state_dict()
    _check_tensors(wanted, tensors, where)
    whole = {name: tensors[name].to(wanted[name].dtype) for name in wanted}
    model.load_state_dict(whole, assign=True)
    if any(buffer.is_meta for buffer in model.buffers()):  # those of a quantizer that no file keeps
        with torch.random.fork_rng(devices=[]):
            model = build_tokenizer(config)
        model.load_state_dict(whole)
    if getattr(model, "channels_last", False):
        model.to(memory_format=torch.channels_last)
    return model.eval()


def _check_tensors(wanted: Mapping[str, Tensor], tensors: Tensors, where: str) -> None:
    """Raise WeightsError where a file has not just what is wanted, in its shapes, as numbers."""
    _same_names(wanted, tensors, where)
    bad = [name for name in wanted if wanted[name].shape != tensors[name].shape]
    if bad:
        shapes = f"{tuple(wanted[bad[0]].shape)}", f"{tuple(tensors[bad[0]].shape)}"
        more = f" (and {len(bad) - 1} more of a wrong shape)" if bad[1:] else ""
        raise WeightsError(expected(f"{where}, '{bad[0]}'", f"a shape {shapes[0]}", f"{shapes[1]}{more}"))
    odd = [name for name in wanted if not _is_number(tensors[name], wanted[name])]
    if odd:
        held = tensors[odd[0]]
        got = "none in the file" if held.is_meta else f"values of {held.dtype}, {held.layout}"
        raise WeightsError(expected(f"{where}, '{odd[0]}'", f"values of {wanted[odd[0]].dtype}", got))


def _is_number(held: Tensor, wanted: Tensor) -> bool:
    """Whether values are there, dense, and as the model can take them: no integers for weights, nothing complex."""
    fits = held.is_floating_point() or (not held.is_complex() and not wanted.is_floating_point())
    return fits and not held.is_meta and held.layout == torch.strided


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
        got = f"a file {' and '.join(problems)}"
        advice = other_layers(wanted, tensors) or ("Is it whole?" if wanted.keys() - tensors.keys() else "")
        raise WeightsError(expected(where, wanted_of, got, advice))

"""A generator on disk: a folder with the model, its text tokenizer, and the tokenizer of its images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from insighttok_ref.generator.hub_folders import JANUS, kind_in
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from insighttok_ref.training.weight_files import Form, write_tensors
from regionloss.disk import whole
from regionloss.errors import InputError, RegionLossError, WeightsError, expected
from regionloss.weights import read_safetensors

MODEL, TEXT, IMAGES = "generator.safetensors", "text.json", "tokenizer.safetensors"
WHAT = "a generator"
#: What a phase before the last one leaves to the next, and what a run keeps to go on from.
HANDED_ON, TO_GO_ON = "weights.safetensors", ("checkpoints", "state.pt")
#: Digits of a fingerprint that sentences show.
SHOWN = 12


@dataclass(frozen=True)
class LoadedGenerator:
    """All that is needed from a caption to an image.

    Args:
        model: The generator, in eval mode.
        form: Format of its prompts.
        tokenizer: The tokenizer of its images, in eval mode.
        grid: Rows and columns of an image's ids.
        untrained: Parts of the model that are as random as they began.

    Raises:
        InputError: The model writes other ids than the tokenizer has.
    """

    model: InsightAR
    form: PromptFormat
    tokenizer: Tokenizer
    grid: tuple[int, int]
    untrained: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.model.codes != self.tokenizer.codebook_size:
            wanted, got = f"a tokenizer of {self.model.codes} codes", f"one of {self.tokenizer.codebook_size}"
            raise InputError(expected(WHAT, wanted, got))

    @property
    def tokens(self) -> int:
        """The number n of ids of an image."""
        return prod(self.grid)

    def to(self, device: torch.device) -> LoadedGenerator:
        """Return it on a device."""
        return replace(self, model=self.model.to(device), tokenizer=self.tokenizer.to(device))

    @torch.inference_mode()
    def draw(self, ids: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in [-1, 1] of ids (B, n)."""
        return self.tokenizer.decode(ids, self.grid).float().clamp(-1, 1)


def save_generator(
    folder: Path, generator: LoadedGenerator, weights: Iterable[tuple[str, Tensor]] | None = None
) -> None:
    """Write a generator; the model comes last, so that a folder that has one is whole.

    Args:
        folder: Made where it is absent; files of these names are replaced.
        generator: The generator, on any device.
        weights: Its weights one after another, float32, where its model does not hold them.

    Raises:
        DiskError: The disk is full, or not to be written.
    """
    save_company(folder, generator.form, generator.tokenizer)
    with whole(folder / MODEL) as temporary:
        save_weights(temporary, generator.model, weights, {"generator": json.dumps(told_of(generator))})


def save_company(folder: Path, form: PromptFormat, tokenizer: Tokenizer) -> None:
    """Write what goes along with a model: the tokenizers of its text and of its images."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder / IMAGES)
    with whole(folder / TEXT) as temporary:
        form.text.save(str(temporary))


def told_of(generator: LoadedGenerator) -> dict[str, Any]:
    """Return what a file says of a generator beside its weights."""
    return {
        "model": generator.model.config,
        "prompt": generator.form.names,
        "tokenizer": generator.tokenizer.fingerprint,
        "grid": list(generator.grid),
        "untrained": list(generator.untrained),
    }


def save_weights(
    file: Path, model: InsightAR, weights: Iterable[tuple[str, Tensor]] | None, told: Mapping[str, str]
) -> None:
    """Write the weights of a model, its own or those that are given one after another, float32."""
    if weights is None:
        save_file(stored(model), file, metadata=dict(told))
        return
    with torch.device("meta"):
        like = type(model)(**model.config)
    forms = {name: Form(torch.float32, tuple(weight.shape)) for name, weight in like.named_parameters()}
    write_tensors(file, forms, weights, told)


def stored(model: InsightAR) -> dict[str, Tensor]:
    """Return the weights that a file keeps: those of a text head that is tied to the embeddings are kept once."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if model.tied:
        del tensors[model.TEXT_HEAD]
    return tensors


def read_generator(path: Path, images: Path | None = None, *, trust: bool = False) -> LoadedGenerator:
    """Read a generator.

    Args:
        path: Its folder, or the file of its model in it.
        images: File of the tokenizer of its images; None for the one in the folder.
        trust: Whether that file may hold more than tensors.

    Raises:
        WeightsError: A file is absent, broken, or holds something else.
        InputError: The tokenizer is another one than the model was trained with.
    """
    file = path / MODEL if path.is_dir() or not path.suffix else path
    if not file.is_file() or file.name == HANDED_ON:
        raise none_at(path, file)
    tensors, metadata = read_safetensors(file, WHAT)
    if "generator" not in metadata:
        raise WeightsError(expected(str(file), WHAT, "a file of tensors that does not say what it is"))
    told = json.loads(metadata["generator"])
    model = built(told["model"], tensors, str(file))
    form, tokenizer = read_company(file.parent, told, images, trust=trust)
    rows, columns = told["grid"]
    return LoadedGenerator(model, form, tokenizer, (rows, columns), tuple(told.get("untrained", ())))


def none_at(path: Path, file: Path) -> WeightsError:
    """Return the sentence for a place where there is no generator, or no whole one yet."""
    got, advice = (
        f"no file {file.name} there",
        "Name the folder of a generator." if path.exists() else "Check the path.",
    )
    if file.with_name(HANDED_ON).is_file():
        got = f"what phase '{file.parent.name}' leaves to the next: all that later phases train is untrained in it"
        advice = "Name the folder of the run, when its last phase is done."
    elif any(file.with_name(name).exists() for name in TO_GO_ON):
        got, advice = "a run whose last phase is not done", "Go on with 'regionloss train RECIPE --resume FOLDER'."
    elif kind_in(path) == JANUS:
        got, advice = (
            "a Janus of transformers",
            f"Convert it: regionloss checkpoint convert {path} --from janus --to ours.",
        )
    return WeightsError(expected(str(path), WHAT, got, advice))


def read_company(
    folder: Path, told: Mapping[str, Any], images: Path | None = None, *, trust: bool = False
) -> tuple[PromptFormat, Tokenizer]:
    """Return what goes along with a model: the format of its prompts, and the tokenizer of its images.

    Args:
        folder: Folder that has them.
        told: What `told_of` has said of the model.
        images: File of the tokenizer; None for the one in the folder.
        trust: Whether that file may hold more than tensors.

    Raises:
        WeightsError: A file is absent, broken, or holds something else.
        InputError: The tokenizer is another one than the model was trained with.
    """
    form = PromptFormat.read(folder / TEXT, **told["prompt"])
    used = images or folder / IMAGES
    tokenizer = read_tokenizer(used, trust=trust).model
    if told["tokenizer"] not in tokenizer.writers:
        wanted = f"the tokenizer {told['tokenizer'][:SHOWN]}, whose ids {MODEL} writes"
        got = f"the tokenizer {tokenizer.fingerprint[:SHOWN]}"
        raise InputError(expected(str(used), wanted, got, "Ids of one mean other pictures to the other."))
    return form, tokenizer


def built(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> InsightAR:
    """Return a generator in eval mode with these weights; raises WeightsError."""
    try:
        with torch.device("meta"):
            model = InsightAR(**config)
    except (TypeError, RuntimeError, RegionLossError) as error:
        raise WeightsError(f"{where}: its configuration does not build a generator ({error}).") from error
    wanted = model.state_dict()
    for name in wanted:
        if name not in tensors and not (model.tied and name == model.TEXT_HEAD):
            raise WeightsError(expected(where, f"the weights '{name}'", "none", "Is it whole?"))
        if name in tensors and tensors[name].shape != wanted[name].shape:
            got = str(tuple(tensors[name].shape))
            raise WeightsError(expected(f"{where}, '{name}'", f"a shape {tuple(wanted[name].shape)}", got))
    if odd := sorted(tensors.keys() - wanted.keys()):
        raise WeightsError(expected(where, "the weights of a generator alone", f"others such as '{odd[0]}'"))
    return filled(model, tensors)


def filled(model: InsightAR, tensors: Mapping[str, Tensor]) -> InsightAR:
    """Return a model without memory of its own, filled with weights."""
    model.load_state_dict(dict(tensors), strict=False, assign=True)
    model.language_model.tie_weights()
    calculate_positions(model)
    return model.eval()


def calculate_positions(model: InsightAR) -> None:
    """Give a model, in float32 and on the CPU, what no file keeps: the frequencies of positions."""
    rotary = model.language_model.model.rotary_emb
    model.language_model.model.rotary_emb = type(rotary)(config=rotary.config)

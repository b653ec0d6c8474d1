"""Generators from one kind of files to another: a reader and a writer for each kind, by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save_file

from insighttok_ref.generator.checkpoints import read_generator, save_generator
from insighttok_ref.generator.hub_folders import folder_of
from insighttok_ref.generator.janus_folders import WHAT, ExchangedGenerator, read_janus, save_janus
from regionloss.disk import whole, written
from regionloss.errors import InputError, expected
from regionloss.weights import read_safetensors

#: In a folder of ours: what the Janus that it was read from has beside the generator.
BESIDE = "janus.safetensors"


def read_ours(path: Path) -> ExchangedGenerator:
    """Read a generator of ours, and what was kept of the Janus that it was read from."""
    generator, kept = read_generator(path), folder_of(path) / BESIDE
    if not kept.is_file():
        return ExchangedGenerator(generator)
    besides, told = read_safetensors(kept, WHAT)
    return ExchangedGenerator(generator, besides, json.loads(told["config"]))


def save_ours(folder: Path, exchanged: ExchangedGenerator) -> tuple[str, ...]:
    """Write a generator of ours, and what a Janus has beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if exchanged.besides:
        with whole(folder / BESIDE) as temporary:
            save_file(dict(exchanged.besides), temporary, metadata={"config": json.dumps(exchanged.config)})
    save_generator(folder, exchanged.generator)
    kept = f"Kept in {BESIDE}, for the way back: its vision tower and its aligner, which nothing here uses."
    return (kept,) if exchanged.besides else ()


READERS: Mapping[str, Callable[[Path], ExchangedGenerator]] = {"ours": read_ours, "janus": read_janus}
#: Each returns sentences on what is not as a reader might think.
WRITERS: Mapping[str, Callable[[Path, ExchangedGenerator], tuple[str, ...]]] = {"ours": save_ours, "janus": save_janus}


def convert(path: Path, source: str, goal: str, out: Path) -> tuple[str, ...]:
    """Write a generator as files of another kind; return what is to be said of it.

    Args:
        path: File or folder that is read.
        source: Its kind, one of `READERS`.
        goal: The kind that is written, one of `WRITERS`.
        out: Folder, new or empty.

    Raises:
        WeightsError: What is read is missing, damaged, or of another kind.
        InputError: There is no such kind of generator, or the folder holds something.
        DiskError: The disk is full, or not to be written.
    """
    for name, said, kinds in (("--from", source, READERS), ("--to", goal, WRITERS)):
        if said not in kinds:
            wanted = f"{' or '.join(kinds)}, the kinds of generators"
            raise InputError(expected(name, wanted, f"'{said}', a kind of tokenizers"))
    if out.exists() and (not out.is_dir() or written(out)):
        raise InputError(expected("--out", "a new or an empty folder", f"'{out}', where something is"))
    found = READERS[source](path)
    told = WRITERS[goal](out, found)
    model, (rows, columns) = found.generator.model, found.generator.grid
    shape, size = model.language_model.config, sum(weight.numel() for weight in model.parameters()) / 1e6
    layers = f"{shape.num_hidden_layers} layers of width {shape.hidden_size}"
    codes = f"{model.codes} codes of length {model.codebook.embedding_dim}"
    line = f"{source}: a generator of {size:.3g} million weights ({layers}), {codes}, {rows} x {columns} ids an image."
    return (line, *found.notes, *told, f"Written to {out}.")

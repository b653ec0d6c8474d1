"""`regionloss checkpoint convert`: files of tokenizers and of generators as files of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from regionloss.console import SentenceGroup
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.tokenizers.base import Tokenizer

Codebook = Annotated[
    Literal["normalised", "plain"] | None,
    typer.Option(
        help="How codes are compared where the file does not show it: normalised is LlamaGen's default.",
        show_default=False,
    ),
]
app = typer.Typer(cls=SentenceGroup, no_args_is_help=True, help="Convert checkpoints of tokenizers and generators.")


#: Kinds that can be read, and that can be written.
Source = Literal["official", "taming", "llamagen", "ours", "janus", "zero"]
Goal = Literal["ours", "official", "safetensors", "janus"]
#: Those that are of generators alone.
OF_GENERATORS = {"janus"}
#: How files of tokenizers end.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "ours": (".safetensors",),
    "safetensors": (".safetensors",),
    "official": (".pt", ".pth", ".ckpt"),
}


@app.callback()
def checkpoint() -> None:
    """Convert checkpoints of tokenizers and generators."""


@app.command()
def convert(
    file: Annotated[
        Path, typer.Argument(metavar="IN", help="The file, the folder of a run, or of transformers, to read.")
    ],
    source: Annotated[
        Source | None,
        typer.Option(
            "--from",
            help="Its kind; seen by itself if not said. zero: what a run of a generator has saved last.",
            show_default=False,
        ),
    ] = None,
    goal: Annotated[
        Goal,
        typer.Option(
            "--to",
            help="ours: with its configuration; official: the published .pt; safetensors: tensors alone; janus: a "
            "generator as a folder that transformers loads.",
        ),
    ] = "ours",
    out: Annotated[
        Path | None, typer.Option(help="The file to write, a folder of a generator; beside IN by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also read a pickle that holds more than tensors; nothing in it is run.")
    ] = False,
    codebook: Codebook = None,
) -> None:
    """Read a tokenizer of InsightTok, taming-transformers or LlamaGen, or a generator; write it as another kind.

    Or write what a run of a generator has saved as a folder to generate from, though no process had all of its weights.
    """
    if source == "zero":
        convert_run(file, goal, out or file.with_name(f"{file.name}-{goal}"), force)
        return
    if goal == "janus" or is_generator(file, source):
        convert_generator(file, source, goal, out)
        return
    target = out or file.with_name(f"{file.stem}-{goal}{SUFFIXES[goal][0]}")
    check_target(file, target, goal, force)
    from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer

    found = read_tokenizer(file, source, trust=trust, codebook=codebook)
    save_tokenizer(found.model, target, goal)
    typer.echo("\n".join((f"{found.kind}: {described(found.model)}.", *found.notes)))
    if found.filled and goal != "safetensors":
        typer.echo(f"Not in the file: {', '.join(found.filled)}. They begin as if each code had one token: itself.")
    typer.echo(f"Written to {target}.")


def is_generator(file: Path, source: Source | None) -> bool:
    """Whether a generator is read: by its kind, or by what lies there."""
    from insighttok_ref.generator.hub_folders import kind_in

    return (source or kind_in(file)) in OF_GENERATORS


def convert_generator(file: Path, source: Source | None, goal: Goal, out: Path | None) -> None:
    """Read a generator, and write it as another kind."""
    from insighttok_ref.generator import conversion
    from insighttok_ref.generator.hub_folders import kind_in

    found = source or (kind_in(file) if kind_in(file) in OF_GENERATORS else "ours")
    target = out or file.with_name(f"{file.stem if file.is_file() else file.name}-{goal}")
    typer.echo("\n".join(conversion.convert(file, found, goal, target)))


def convert_run(run: Path, goal: Goal, out: Path, force: bool) -> None:
    """Write what a run of a generator has saved last, weight after weight."""
    from insighttok_ref.generator.checkpoints import MODEL, save_generator
    from insighttok_ref.generator.runs import read_run

    if goal != "ours":
        raise InputError(expected("--to", "ours, which generators are", f"'{goal}', a kind of tokenizers"))
    if (out / MODEL).exists() and not force:
        raise InputError(expected("--out", "a new folder", f"'{out}', which has one", "Say --force to replace it."))
    generator, weights = read_run(run)
    save_generator(out, generator, weights)
    millions = sum(weight.numel() for weight in generator.model.parameters()) / 1e6
    rows, columns = generator.grid
    typer.echo(f"zero: a generator of {millions:.3g} million weights, {rows} x {columns} ids an image.")
    typer.echo(f"Written to {out}.")


def check_target(file: Path, target: Path, goal: Goal, force: bool) -> None:
    """Raise InputError where nothing should or could be written."""
    if target.suffix not in SUFFIXES[goal]:
        raise InputError(expected("--out", f"a file that ends in {' or '.join(SUFFIXES[goal])}", f"'{target}'"))
    if target.is_dir():
        raise InputError(expected("--out", "a file", f"'{target}', which is a folder"))
    if target.exists() and file.exists() and target.samefile(file):
        raise InputError(expected("--out", "another file than IN", f"'{target}'"))
    if target.exists() and not force:
        raise InputError(expected("--out", "a new file", f"'{target}', which is there", "Say --force to replace it."))


def described(model: Tokenizer) -> str:
    """Return what a tokenizer is, in a line."""
    config = model.config
    if "use" in config:
        return f"the tokenizer '{config['use']}', {model.quantize.codebook_size} codes, f{model.downsampling}"
    millions = sum(weight.numel() for weight in model.parameters()) / 1e6
    multipliers = ",".join(map(str, config["ch_mult"]))
    codes = f"{config['codebook_size']} codes of length {config['code_dim']}"
    how = model.quantize.described()
    return f"{millions:.1f}M parameters, width {config['ch']} x {multipliers}, {codes} ({how}), f{model.downsampling}"

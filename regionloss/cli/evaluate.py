"""`regionloss evaluate`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regionloss.console.options import MOST_PIXELS, MaxPixels, PluginFiles
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    import torch

    from regionloss.evaluation import Evaluation, Results
    from regionloss.evaluation.pairs import Reconstructions

#: How long a process waits for another one to end its share.
PATIENCE = timedelta(days=2)
SETTING = 512


def evaluate(
    data: Annotated[list[str], typer.Option(help="TokBench's folder, or images: folders, tar files; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", "--autoencoder", help="Tokenizer file, or a folder of diffusers.")
    ] = None,
    reconstructions: Annotated[
        Path | None, typer.Option(help="Folder of images that any tokenizer has made, named as the originals.")
    ] = None,
    suite: Annotated[str, typer.Option(help="What is asked, with commas: text, face, general, ...")] = (
        "text,face,general"
    ),
    judges: Annotated[
        str | None,
        typer.Option(
            help="Judges with commas, NAME or NAME=PATH of its weights: 'regionloss components judge' lists them. "
            "Without it: PP-OCR and Tesseract read, FaceRes compares faces.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name in tables; that of the file or folder by default.")] = "",
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of the square that images are fitted in; without it, their own.")
    ] = None,
    setting: Annotated[
        int | None, typer.Option(help="TokBench's size groups: 256, 512 or 1024; by default those of --size.")
    ] = None,
    regions: Annotated[
        str | None, typer.Option(help="Folder of side-cars; without it, those beside the images.")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(exists=True, help="CSV or Parquet: 'key' (and 'number'), columns for groups.")
    ] = None,
    allow_trained: Annotated[
        bool, typer.Option("--allow-trained", help="Also judge by a network that was trained against.")
    ] = False,
    official_batching: Annotated[
        bool,
        typer.Option(
            "--official-batching", help="Let text/parseq end its readings by batches, as TokBench's script does."
        ),
    ] = False,
    lpips: Annotated[
        str | None, typer.Option(help="general: backbones in which LPIPS is measured; those that are here.")
    ] = None,
    frechet: Annotated[
        str | None, typer.Option(help="general: networks in which sets are compared; the packaged one.")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(exists=True, help="general: Inception-v3's weights, for rFID; else from the cache.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Replace what the folder of the results holds.")] = False,
    crops: Annotated[int, typer.Option(min=0, help="Regions of each kind whose crops the report shows.")] = 2000,
    part: Annotated[int, typer.Option(min=1, help="Images examined between two savings.")] = 32,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes what is there.")] = "auto",
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for what reads the checkpoint; repeatable.")
    ] = None,
    plugin: PluginFiles = None,
    max_pixels: MaxPixels = MOST_PIXELS,
) -> None:
    """Judge reconstructions: text, faces, pixels; stops and goes on anywhere, alone or under torchrun."""
    from regionloss.cli.detect import read_options
    from regionloss.disk import guarded
    from regionloss.evaluation import Evaluation, read_results
    from regionloss.evaluation.judges import default_judges, judges_of, trained_against
    from regionloss.evaluation.pairs import ReconstructionFolder, open_originals, read_columns
    from regionloss.evaluation.results import RESULTS
    from regionloss.evaluation.suites import Resources, benchmarks_of
    from regionloss.hooks.catalogue import build_catalogue, catalogue
    from regionloss.runs import barrier, join

    check_one(checkpoint, reconstructions)
    where = build_catalogue(files=plugin) if plugin else catalogue()
    known = read_columns(columns) if columns else None
    with join(device, timeout=PATIENCE) as ranks:
        if checkpoint is not None:
            made: Reconstructions = autoencoder(checkpoint, ranks.device, read_options(option or []), where, name, size)
        else:
            assert reconstructions is not None
            made = ReconstructionFolder(reconstructions, name or None, max_pixels)
        originals = open_originals(data, regions, known, max_pixels=max_pixels)
        against = {} if allow_trained else trained_against(checkpoint)
        chosen, absent = (
            default_judges(split(suite), where, against)
            if judges is None
            else (judges_of(split(judges), where, against), [])
        )
        batches = official_batches(originals, official_batching)
        resources = Resources(
            chosen,
            ranks.device,
            made.codebook_size,
            batches,
            lpips=None if lpips is None else split(lpips),
            frechet=None if frechet is None else split(frechet),
            inception=inception,
            where=where,
        )
        asked = benchmarks_of(split(suite), resources)
        evaluation = Evaluation(originals, made, asked, out, group_setting(setting, size), part, crops)
        if ranks.is_first:
            evaluation.prepare(again)
        barrier()
        if not (out / RESULTS).is_file():
            examine(evaluation, ranks)
            barrier()
    if not ranks.is_first:
        return
    if (out / RESULTS).is_file():
        found = read_results(out)
        typer.echo(f"{out} has these results already; --again makes them anew.")
    else:
        with guarded(out, "evaluation"):
            found = evaluation.finish([*originals.notes, *absent, *resources.notes])
    tell(found)


def check_one(checkpoint: Path | None, reconstructions: Path | None) -> None:
    """Raise InputError unless one of the two is given."""
    if (checkpoint is None) == (reconstructions is None):
        got = "neither" if checkpoint is None else "both"
        raise InputError(expected("evaluate", "either --checkpoint (--autoencoder) or --reconstructions", got))


def examine(evaluation: Evaluation, ranks: Any) -> None:
    """Examine this process's share of the pairs, and say how far it is."""
    from regionloss.console import Progress

    if not ranks.is_first:
        evaluation.examine(ranks.rank, ranks.size)
        return
    with Progress("images" if ranks.size == 1 else "images of rank 0") as progress:
        evaluation.examine(ranks.rank, ranks.size, progress)


def autoencoder(
    path: Path, device: torch.device, options: dict[str, object], where: Any, name: str, size: int | None
) -> Reconstructions:
    """Return what an autoencoder makes of images."""
    from regionloss.autoencoders import open_autoencoder
    from regionloss.evaluation.pairs import AutoencoderReconstructions

    found = open_autoencoder(path, device, options, where)
    if size is not None and size % found.multiple:
        near = max(found.multiple, round(size / found.multiple) * found.multiple)
        raise InputError(expected("--size", f"a multiple of {found.multiple}", str(size), f"Try {near}."))
    return AutoencoderReconstructions(found, name or path.resolve().stem, size)


def official_batches(originals: object, wanted: bool) -> dict[tuple[str, int], tuple[str, ...]] | None:
    """Return the batches in which TokBench's script reads its own data; None where they are not wanted."""
    from regionloss.evaluation.pairs.tokbench import TokBench

    if not wanted:
        return None
    if not isinstance(originals, TokBench):
        raise InputError(expected("--official-batching", "TokBench's folder as --data", "other images"))
    return originals.batches()


def split(names: str) -> list[str]:
    """Return names that commas are between."""
    return [name.strip() for name in names.split(",") if name.strip()]


def group_setting(setting: int | None, size: int | None) -> int:
    """Return the side by which size groups are told apart: the one asked for, else that of the images."""
    from regionloss.evaluation.benchmarks.sizes import EDGES

    if setting is not None and setting not in EDGES:
        raise InputError(expected("--setting", "256, 512 or 1024", str(setting)))
    return setting or (size if size is not None and size in EDGES else SETTING)


def tell(results: Results) -> None:
    """Print the scores and what could not be judged, and write the page that shows them."""
    from regionloss.console import counted, print_table
    from regionloss.evaluation.report import write_report
    from regionloss.evaluation.tell import rows

    summary = results.summary
    head = ["measure", "judge", "group", "value", "95% interval", "originals", "of"]
    print_table(f"{summary.name} on {summary.data}, {counted(summary.images, 'image')}", head, rows(summary))
    for problem in summary.problems:
        shown = ", ".join(problem.first[:3])
        typer.echo(f"Not judged: {problem.count} x {problem.what}: {shown}{', ...' if problem.count > 3 else ''}")
    for note in summary.notes:
        typer.echo(note)
    typer.echo(f"report: {write_report([results], results.folder / 'report.html')}")

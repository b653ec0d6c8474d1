"""`regionloss evaluate`."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regionloss.console.options import MOST_PIXELS, MaxPixels, PluginFiles
from regionloss.console.sentences import INTERRUPTED
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    import torch

    from regionloss.evaluation import Evaluation, Results
    from regionloss.evaluation.pairs import Reconstructions
    from regionloss.judges import Judge

#: How long a process waits for another one to end its share.
PATIENCE = timedelta(days=2)
SETTING = 512


def evaluate(
    data: Annotated[list[str], typer.Option(help="TokBench's folder, or images: folders, tar files; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", "--autoencoder", help="Tokenizer file; folder, file or cached name of diffusers."),
    ] = None,
    reconstructions: Annotated[
        Path | None, typer.Option(help="Folder of images that any tokenizer has made, named as the originals.")
    ] = None,
    suite: Annotated[str, typer.Option(help="What is asked, with commas, of text, face, general and documents.")] = (
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
    from regionloss.evaluation import Evaluation
    from regionloss.evaluation.pairs import open_originals, read_columns
    from regionloss.evaluation.suites import Resources, benchmarks_of
    from regionloss.hooks.catalogue import build_catalogue, catalogue
    from regionloss.runs import join

    check_one(checkpoint, reconstructions, size)
    where = build_catalogue(files=plugin) if plugin else catalogue()
    known = read_columns(columns) if columns else None
    with ExitStack() as held:
        with join(device, timeout=PATIENCE) as ranks:
            if checkpoint is not None:
                made = autoencoder(checkpoint, ranks.device, read_options(option or []), where, name, size)
            else:
                made = folder_of(reconstructions, name, max_pixels)
            originals = open_originals(data, regions, known, max_pixels=max_pixels)
            chosen, notes = judges_for(judges, split(suite), where, None if allow_trained else checkpoint)
            resources = Resources(
                chosen,
                ranks.device,
                made.codebook_size,
                official_batches(originals, official_batching),
                lpips=None if lpips is None else split(lpips),
                frechet=None if frechet is None else split(frechet),
                inception=inception,
                where=where,
            )
            asked = benchmarks_of(split(suite), resources)
            evaluation = Evaluation(originals, made, asked, out, group_setting(setting, size), part, crops)
            if ranks.is_first:
                held.enter_context(guarded(out, "evaluation"))
            examine(evaluation, ranks, again)
        if ranks.is_first:
            tell(finished(evaluation, [*originals.notes, *notes, *resources.notes]))


def check_one(checkpoint: Path | None, reconstructions: Path | None, size: int | None) -> None:
    """Raise InputError unless one of the two is given, a size only with an autoencoder."""
    if (checkpoint is None) == (reconstructions is None):
        got = "neither" if checkpoint is None else "both"
        raise InputError(expected("evaluate", "either --checkpoint (--autoencoder) or --reconstructions", got))
    if reconstructions is not None and size is not None:
        advice = "Images of a folder are judged as they are; size groups are chosen with --setting."
        raise InputError(expected("--size", "a checkpoint, whose input it is", "--reconstructions", advice))


def examine(evaluation: Evaluation, ranks: Any, again: bool) -> None:
    """Examine this process's share of the pairs, and say how far it is; nothing, where there are results already."""
    from regionloss.console import Progress
    from regionloss.evaluation.results import RESULTS
    from regionloss.runs import barrier

    if ranks.is_first:
        evaluation.prepare(again)
    barrier()
    if (evaluation.folder / RESULTS).is_file():
        return
    if ranks.is_first:
        try:
            with Progress("images" if ranks.size == 1 else "images of rank 0") as progress:
                evaluation.examine(ranks.rank, ranks.size, progress)
        except KeyboardInterrupt:
            typer.echo(evaluation.stopped(), err=True)
            raise typer.Exit(INTERRUPTED) from None
    else:
        evaluation.examine(ranks.rank, ranks.size)
    barrier()


def finished(evaluation: Evaluation, notes: list[str]) -> Results:
    """Return the results of all parts, or those that the folder has already."""
    from regionloss.evaluation import read_results
    from regionloss.evaluation.results import RESULTS

    if (evaluation.folder / RESULTS).is_file():
        typer.echo(f"{evaluation.folder} has these results already; --again makes them anew.")
        return read_results(evaluation.folder)
    return evaluation.finish(notes)


def judges_for(
    names: str | None, suites: list[str], where: Any, checkpoint: Path | None
) -> tuple[dict[str, Judge], list[str]]:
    """Return the judges that were chosen, or those of the suites, with sentences on those that are not here."""
    from regionloss.evaluation.judges import default_judges, judges_of, trained_against

    against = trained_against(checkpoint)
    return default_judges(suites, where, against) if names is None else (judges_of(split(names), where, against), [])


def folder_of(folder: Path | None, name: str, max_pixels: int) -> Reconstructions:
    """Return the images of a folder as reconstructions."""
    from regionloss.evaluation.pairs import ReconstructionFolder

    assert folder is not None
    return ReconstructionFolder(folder, name or None, max_pixels)


def autoencoder(
    path: Path, device: torch.device, options: dict[str, object], where: Any, name: str, size: int | None
) -> Reconstructions:
    """Return what an autoencoder makes of images."""
    from regionloss.autoencoders import open_autoencoder
    from regionloss.evaluation.pairs import AutoencoderReconstructions

    advice = "Reconstruct with its own code, and give the images: --reconstructions FOLDER."
    found = open_autoencoder(path, device, options, where, advice=advice)
    side = getattr(found, "side", None)
    if side is not None and size != side:
        got = "none" if size is None else str(size)
        raise InputError(expected("--size", f"{side}, the one size that this autoencoder takes", got))
    if size is not None and size % found.multiple:
        near = max(found.multiple, round(size / found.multiple) * found.multiple)
        raise InputError(expected("--size", f"a multiple of {found.multiple}", str(size), f"Try {near}."))
    return AutoencoderReconstructions(found, name or name_of(path.resolve()), size)


def name_of(path: Path) -> str:
    """Return what tables call an autoencoder: its folder or file; the folder of a file that is called as all are."""
    if path.is_dir():
        return path.name
    return path.parent.name if path.stem in ("tokenizer", "model") else path.stem


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

"""`regionloss regions`: look at side-cars, count what is in them, bring them from other formats and take them there."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from regionloss.console.options import MOST_PIXELS, Csv, Json, MaxPixels, check_suffix
from regionloss.console.sentences import SentenceGroup
from regionloss.console.tables import check_one_form, counted, print_rows, print_table
from regionloss.errors import InputError, expected

app = typer.Typer(cls=SentenceGroup, no_args_is_help=True, help="Show, count, import and export regions.")

Cars = Annotated[list[str], typer.Argument(help="Side-cars, folders of them, or patterns.")]
Kind = Annotated[str, typer.Option(help="Kind of region, for formats that hold one.")]
Column = Annotated[str, typer.Option(help="img2dataset: column of the boxes.")]


class Format(enum.StrEnum):
    """Formats of others."""

    coco = "coco"
    tokbench = "tokbench"
    img2dataset = "img2dataset"


@app.command()
def show(
    sidecar: Annotated[str, typer.Argument(help="A side-car.")],
    images: Annotated[str, typer.Option(help="Its shard: the tar file or the folder.")],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("regions.png"),
    limit: Annotated[int, typer.Option(min=1, help="Most images; those with regions come first.")] = 16,
    key: Annotated[list[str] | None, typer.Option(help="Key of an image to show; repeatable.")] = None,
    max_pixels: MaxPixels = MOST_PIXELS,
) -> None:
    """Draw images with their boxes, keypoints and scores."""
    from regionloss.data.sidecars.collection import chosen_keys, located, pictures
    from regionloss.data.sidecars.sidecar import read_sidecar
    from regionloss.pictures.boxes import COLOURS, annotated, save, sheet

    check_suffix(out)
    path = located(sidecar)
    found = read_sidecar(path)
    keys = chosen_keys(path, found, key or [], limit)
    drawn, names = [], []
    kinds = sorted({region["kind"] for row in found.rows() for region in row["regions"]})
    colours = dict(zip(kinds, COLOURS * len(kinds), strict=False))
    other = 0
    for name, image, regions in pictures(images, found, keys, max_pixels):
        if isinstance(image, str):
            typer.echo(f"Not drawn: {image}", err=True)
            continue
        other += regions is None
        for kind, one in (regions or {}).items():
            image = annotated(image, one, colour=colours[kind])
        drawn.append(image)
        names.append(name)
    if not drawn:
        got = f"'{images}' with none of them"
        raise InputError(expected("--images", f"the shard that holds images such as '{keys[0]}'", got))
    save(sheet(drawn, names), out)
    typer.echo(f"{len(drawn)} of {counted(len(found), 'image')} drawn in {out}.")
    if other:
        what = f"{counted(other, 'image')} of another aspect than in the side-car"
        typer.echo(f"Without regions: {what}, as where EXIF turns a photograph.")


@app.command()
def stats(
    sidecars: Cars,
    out: Annotated[Path, typer.Option(help="Plot to write.")] = Path("regions-stats.png"),
    crop: Annotated[int, typer.Option(min=8, help="Side of the training crop, pixels.")] = 256,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Count regions, their sizes and scores, and how many survive a training crop."""
    from regionloss.data.sidecars.collection import all_rows
    from regionloss.data.sidecars.stats import DATA, Tally
    from regionloss.pictures.histograms import plot

    check_suffix(out)
    check_one_form(as_json, as_csv)
    tally = Tally(crop)
    for row in all_rows(sidecars):
        tally.add(row)
    as_data = print_rows(tally.data(), DATA, as_json, as_csv)
    if not as_data:
        print_table(counted(tally.images, "image"), tally.columns, tally.table())
    if tally.kinds:
        out.parent.mkdir(parents=True, exist_ok=True)
        plot(tally, out)
        typer.echo(f"Histograms are in {out}.", err=as_data)


@app.command(name="import")
def import_(
    source: Annotated[str, typer.Argument(help="File in the other format.")],
    images: Annotated[str, typer.Option(help="The shard: the tar file or the folder of images that it is about.")],
    format: Annotated[Format, typer.Option(help="Which format.")],
    out: Annotated[str, typer.Option(help="Folder of side-cars; without it, beside the shard.")] = "",
    kind: Kind = "text",
    column: Column = "bbox",
) -> None:
    """Add regions from another format to a shard's side-car."""
    from regionloss.data.sidecars.formats import coco, img2dataset, tokbench
    from regionloss.data.sidecars.imports import merge
    from regionloss.data.sidecars.sidecar import sidecar_path

    if format is Format.img2dataset:
        imported = img2dataset.read_img2dataset(source, kind, column)
    else:
        imported = (coco.read_coco if format is Format.coco else tokbench.read_tokbench)(source)
    target = sidecar_path(out, images)
    held, left = merge(target, images, imported)
    number = counted(sum(len(row["regions"]) for row in held), "region")
    typer.echo(f"{number} of {counted(len(held), 'image')} now in {target}.")
    for sentence in (*imported.sentences(), *left):
        typer.echo(sentence)


@app.command()
def export(
    sidecars: Cars,
    out: Annotated[str, typer.Option(help="File to write.")],
    format: Annotated[Format, typer.Option(help="Which format.")],
    kind: Kind = "text",
    column: Column = "bbox",
) -> None:
    """Write regions of side-cars in another format."""
    from regionloss.data.sidecars.collection import rows_by_key
    from regionloss.data.sidecars.formats import coco, img2dataset, tokbench

    rows = rows_by_key(sidecars)
    if format is Format.coco:
        count, left = coco.write_coco(out, rows)
    elif format is Format.tokbench:
        count, left = tokbench.write_tokbench(out, rows, kind)
    else:
        count, left = img2dataset.write_img2dataset(out, rows, kind, column)
    typer.echo(f"{counted(count, 'region')} written to {out}.")
    for reason, number in sorted(left.items()):
        typer.echo(f"Left out: {number}, {reason}.")

"""`regionloss inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regionloss.cli.detect import SIDES
from regionloss.console.options import MOST_PIXELS, Csv, Json, MaxPixels, check_suffix
from regionloss.console.tables import check_one_form, counted, print_rows, print_table
from regionloss.errors import InputError, expected
from regionloss.recipe.build import build_detectors, build_terms, load_choice
from regionloss.recipe.load import Loaded
from regionloss.recipe.schema import Recipe, TermsFile

if TYPE_CHECKING:
    from PIL import Image

    from regionloss.losses.terms import LossTerms
    from regionloss.regions.regions import Regions

SHOWN = ["term", "region", *SIDES, "score", "crop", "distance", "weight", "product", "share", "text"]
COLUMNS = [*SHOWN[:-1], "quad", "text"]  # of data


def inspect(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    terms: Annotated[str, typer.Option(help="File of terms, recipe, or names: text=0.0025,face=0.02.")],
    reconstruction: Annotated[
        Path | None, typer.Option(help="The same image as a tokenizer gives it back; a degraded copy without it.")
    ] = None,
    regions: Annotated[
        str, typer.Option(help="Side-car with the image's regions; without it the terms' detectors look.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("inspect.png"),
    degrade: Annotated[str, typer.Option(help="How the copy is degraded: shrink=, jpeg=, blur=.")] = "shrink=3,jpeg=30",
    max_side: Annotated[int, typer.Option(min=32, help="Longest side at which the image is looked at, pixels.")] = 1600,
    limit: Annotated[int, typer.Option(min=1, help="Most regions of a term in the picture, the heaviest.")] = 12,
    max_pixels: MaxPixels = MOST_PIXELS,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Draw what terms see in an image: regions, crops, distance and weight of each."""
    from regionloss.data.images.degrade import parsed
    from regionloss.notebook import drawn_terms, seen_rows
    from regionloss.pictures.boxes import save

    check_suffix(out)
    check_one_form(as_json, as_csv)
    parsed(degrade)
    if out.resolve() in {path.resolve() for path in (image, reconstruction) if path}:
        raise InputError(expected("--out", "a file that is none of the images", f"'{out}'"))
    target, copy = pair(image, reconstruction, degrade, max_side, max_pixels)
    loaded = load_choice(terms)
    built = build_terms(loaded)
    found = from_sidecar(regions, image, target) if regions else from_detectors(loaded, built, target, max_side)
    title = "reconstruction" if reconstruction else f"degraded copy ({degrade})"
    drawn, seen, lines = drawn_terms(built, target, copy, found, title, limit)
    rows = seen_rows(seen, found)
    as_data = print_rows(rows, COLUMNS, as_json, as_csv)
    if not as_data:
        print_table(counted(len(seen), "region"), SHOWN, map(cells, rows))
    for line in lines:
        typer.echo(line, err=as_data)
    if not reconstruction:
        compared = f"the target is compared with a degraded copy of it ({degrade})"
        typer.echo(f"No --reconstruction was given: {compared}.", err=as_data)
    save(drawn, out)
    shown = sum(min(limit, sum(one.term == name for one in seen)) for name in built.terms)
    more = "" if shown == len(seen) else f" (the {shown} heaviest of {len(seen)} regions)"
    typer.echo(f"Drawn in {out}{more}.", err=as_data)


def pair(
    path: Path, other: Path | None, degrade: str, max_side: int, max_pixels: int
) -> tuple[Image.Image, Image.Image]:
    """Return an image and its reconstruction, neither larger than `max_side`."""
    from PIL import Image

    from regionloss.data.images.degrade import degraded
    from regionloss.data.images.files import read_image

    target = read_image(path, max_pixels)
    copy = read_image(other, max_pixels) if other else None
    if copy is not None and copy.size != target.size:
        sizes = [f"{one.height} x {one.width}" for one in (target, copy)]
        advice = "Give the reconstruction at the image's own size: 'regionloss reconstruct --save DIR' writes it so."
        raise InputError(expected("--reconstruction", f"the image's size, {sizes[0]}", sizes[1], advice))
    ratio = min(1.0, max_side / max(target.size))
    if ratio < 1:
        size = (max(1, round(target.width * ratio)), max(1, round(target.height * ratio)))
        target = target.resize(size, Image.Resampling.BICUBIC)
        copy = copy and copy.resize(size, Image.Resampling.BICUBIC)
    return target, copy or degraded(target, degrade)


def from_detectors(
    loaded: Loaded[Recipe] | Loaded[TermsFile], terms: LossTerms, image: Image.Image, max_side: int
) -> dict[str, Regions]:
    """Return what the terms' own detectors find, by kind; the first detector of a kind speaks for it."""
    from regionloss.data.annotate.pictures import Annotated as Picture
    from regionloss.data.annotate.pictures import annotate

    detectors = build_detectors(loaded)
    without = [kind for kind in terms.kinds if kind not in detectors and kind != "whole_image"]
    if without:
        got = f"no term with a detector for '{without[0]}'"
        advice = "Name their side-car with --regions, or a detector in the file of terms."
        raise InputError(expected("regions", "those of every term's kind", got, advice))
    return dict(annotate(Picture("", image, {}), detectors.values(), max_side).regions)


def from_sidecar(sidecar: str, path: Path, image: Image.Image) -> dict[str, Regions]:
    """Return the regions that a side-car has of an image, by kind."""
    from regionloss.data.shards.keys import normal
    from regionloss.data.sidecars.collection import chosen_keys, located, tell_left
    from regionloss.data.sidecars.entries import row_regions, same_aspect
    from regionloss.data.sidecars.sidecar import read_sidecar, sides

    place = located(sidecar)
    rows = read_sidecar(place)
    (whole,) = normal([path.resolve().as_posix()])
    names = [key for key in rows.places if whole.endswith(f"/{key}") or key.rpartition("/")[2] == path.stem]
    key = max(names, key=len) if names else chosen_keys(place, rows, [path.name], 1)[0]
    row = rows[key]
    if not same_aspect(sides(row), image.size):
        got = f"one of {image.height} x {image.width}"
        raise InputError(
            expected(f"{path}", f"an image of the shape {row['height']} x {row['width']}, as in {place}", got)
        )
    regions, dropped = row_regions(row, image.size)
    tell_left(place, dropped.total())
    return regions


def cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of a region as a terminal shows it."""
    sides = ["-" if row[side] is None else f"{row[side]:.1f}" for side in SIDES]
    score = "-" if row["score"] is None else f"{row['score']:.2f}"
    numbers = [f"{row[name]:.4g}" for name in ("distance", "weight", "product")]
    return [row["term"], str(row["region"]), *sides, score, row["crop"], *numbers, f"{row['share']:.1%}", row["text"]]

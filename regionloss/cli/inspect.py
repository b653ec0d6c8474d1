"""`regionloss inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regionloss.cli.detect import rows_of
from regionloss.console.options import MOST_PIXELS, MaxPixels, check_suffix
from regionloss.console.tables import counted, print_table
from regionloss.errors import InputError, expected
from regionloss.recipe.build import build_detectors, build_terms, load_choice
from regionloss.recipe.load import Loaded
from regionloss.recipe.schema import Recipe, TermsFile
from regionloss.schedules import LAST_STEP

if TYPE_CHECKING:
    from PIL import Image

    from regionloss.losses.terms import LossTerms
    from regionloss.pictures.terms import Seen
    from regionloss.regions.regions import Regions

COLUMNS = ["term", "region", "x1", "y1", "x2", "y2", "score", "crop", "distance", "weight", "product", "share", "text"]


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
) -> None:
    """Draw what terms see in an image: regions, crops, distance and weight of each."""
    from regionloss.data.images.degrade import parsed
    from regionloss.data.images.files import to_tensor
    from regionloss.pictures.boxes import save
    from regionloss.pictures.terms import colours, framed, page, see

    check_suffix(out)
    parsed(degrade)
    if out.resolve() in {path.resolve() for path in (image, reconstruction) if path}:
        raise InputError(expected("--out", "a file that is none of the images", f"'{out}'"))
    target, copy = pair(image, reconstruction, degrade, max_side, max_pixels)
    loaded = load_choice(terms)
    built = build_terms(loaded)
    found = from_sidecar(regions, image, target) if regions else from_detectors(loaded, built, target, max_side)
    seen, values = see(built, to_tensor([copy]), to_tensor([target]), found)
    lines = [*missing(built, seen), *summary(built, values)]
    shown = [
        row
        for name in built.terms
        for row in sorted((r for r in seen if r.term == name), key=lambda r: -r.share)[:limit]
    ]
    title = "reconstruction" if reconstruction else f"degraded copy ({degrade})"
    colour = colours(built)
    drawn = page([(framed(target, found, 0, colour), copy)], shown, lines, colour, title)
    print_regions(seen, found)
    for line in lines:
        typer.echo(line)
    if not reconstruction:
        typer.echo(f"No --reconstruction was given: the target is compared with a degraded copy of it ({degrade}).")
    save(drawn, out)
    more = "" if len(shown) == len(seen) else f" (the {len(shown)} heaviest of {len(seen)} regions)"
    typer.echo(f"Drawn in {out}{more}.")


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


def missing(terms: LossTerms, seen: list[Seen]) -> list[str]:
    """Return a sentence for each term that has nothing to look at."""
    some = {row.term for row in seen}
    return [
        f"{name}: no region of kind '{term.kind}' was found, so the term is 0 here."
        for name, term in terms.terms.items()
        if name not in some
    ]


def summary(terms: LossTerms, values: dict[str, float]) -> list[str]:
    """Return each term's value with its weight, and the sum."""
    weights = {name: term.weight_at(LAST_STEP) for name, term in terms.terms.items()}
    products = {name: values[name] * weight for name, weight in weights.items()}
    what = {name: "weight, in the end" if callable(term.weight) else "weight" for name, term in terms.terms.items()}
    lines = [
        f"{name} = {values[name]:.4g}, x {weight:g} (the term's {what[name]}) = {products[name]:.4g}"
        for name, weight in weights.items()
    ]
    return lines if len(lines) == 1 else [*lines, f"total = {sum(products.values()):.4g}"]


def print_regions(seen: list[Seen], found: dict[str, Regions]) -> None:
    """Print a row for each region and term."""
    places = {kind: rows_of(Path(), regions) for kind, regions in found.items()}
    rows = []
    for one in seen:
        # A term of whole images makes its own region.
        place = places[one.kind][one.number][2:] if one.kind in places else ["-"] * 5 + [""]
        numbers = [f"{one.distance:.4g}", f"{one.weight:.4g}", f"{one.distance * one.weight:.4g}", f"{one.share:.1%}"]
        crop = f"{one.crop.height} x {one.crop.width}"
        rows.append([one.term, str(one.number), *place[:5], crop, *numbers, place[5]])
    print_table(counted(len(seen), "region"), COLUMNS, rows)

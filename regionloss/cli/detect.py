"""`regionloss detect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regionloss.console.options import MOST_PIXELS, MaxPixels, PluginFiles, check_suffix
from regionloss.console.tables import counted, print_table
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import build_catalogue, catalogue
from regionloss.recipe.source import parse_value

if TYPE_CHECKING:
    from regionloss.regions.regions import Regions

COLUMNS = ["image", "kind", "x1", "y1", "x2", "y2", "score", "text"]


def detect(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    detector: Annotated[str, typer.Option(help="Name of a detector: 'regionloss components detector'.")],
    out: Annotated[Path | None, typer.Option(help="Picture to write: the images with what was found.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for the detector; repeatable.")] = None,
    plugin: PluginFiles = None,
    max_pixels: MaxPixels = MOST_PIXELS,
) -> None:
    """Run a detector on images; print and draw what it finds."""
    from regionloss.data.images.files import read_image, to_tensor
    from regionloss.detectors.detect import detect as find
    from regionloss.pictures.boxes import annotated, save, sheet

    if out is not None:
        check_suffix(out)
    where = build_catalogue(files=plugin) if plugin else catalogue()
    known = where.build("detector", detector, read_options(option or []))
    rows, pictures = [], []
    for path in files(images):
        image = read_image(path, max_pixels)
        regions = find(to_tensor([image]), known)
        rows += rows_of(path, regions)
        if out is not None:
            pictures.append(annotated(image, regions))
    print_table(counted(len(rows), "region"), COLUMNS, rows)
    if out is not None:
        save(sheet(pictures), out)
        typer.echo(f"Drawn in {out}.")


def files(images: list[Path]) -> list[Path]:
    """Return the image files; a folder stands for those in it."""
    from regionloss.data.shards.paths import list_images

    return [path for image in images for path in (list_images(image) if image.is_dir() else [image])]


def read_options(given: Sequence[str]) -> dict[str, object]:
    """Read `KEY=VALUE` options of the detector."""
    options: dict[str, object] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(expected("--option", "KEY=VALUE", repr(text)))
        options[key] = parse_value(value)
    return options


def rows_of(path: Path, regions: Regions) -> list[list[str]]:
    """Return a row for each region of one image."""
    rows = []
    for number, box in enumerate(regions.boxes.tolist()):
        score = "-" if regions.scores is None else f"{float(regions.scores[number]):.2f}"
        text = "" if regions.texts is None else regions.texts[number]
        rows.append([str(path), regions.kind, *(f"{side:.1f}" for side in box), score, text])
    return rows

"""`regionloss detect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from regionloss.console.options import MOST_PIXELS, Csv, Json, MaxPixels, PluginFiles, check_suffix
from regionloss.console.tables import check_one_form, counted, print_rows, print_table
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import build_catalogue, catalogue
from regionloss.hooks.detector_names import stands_for
from regionloss.recipe.source import parse_value

SIDES = ("x1", "y1", "x2", "y2")
SHOWN = ["image", "kind", *SIDES, "score", "text"]
COLUMNS = [*SHOWN[:-1], "quad", "text"]  # of data


def detect(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    detector: Annotated[str, typer.Option(help="Name of a detector ('regionloss components detector'), or of a term.")],
    out: Annotated[Path | None, typer.Option(help="Picture to write: the images with what was found.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for the detector; repeatable.")] = None,
    plugin: PluginFiles = None,
    max_pixels: MaxPixels = MOST_PIXELS,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Run a detector on images; print and draw what it finds."""
    from regionloss.data.images.files import read_image, to_tensor
    from regionloss.detectors.detect import detect as find
    from regionloss.notebook import rows_of
    from regionloss.pictures.boxes import annotated, save, sheet

    check_one_form(as_json, as_csv)
    if out is not None:
        check_suffix(out)
    where = build_catalogue(files=plugin) if plugin else catalogue()
    name, preset = stands_for(detector, where, "--detector")
    known = where.build("detector", name, {**preset, **read_options(option or [])})
    rows: list[dict[str, Any]] = []
    pictures = []
    for path in files(images):
        image = read_image(path, max_pixels)
        regions = find(to_tensor([image]), known)
        rows += [{"image": str(path)} | row for row in rows_of(regions)]
        if out is not None:
            pictures.append(annotated(image, regions))
    as_data = print_rows(rows, COLUMNS, as_json, as_csv)
    if not as_data:
        print_table(counted(len(rows), "region"), SHOWN, map(cells, rows))
    if out is not None:
        save(sheet(pictures), out)
        typer.echo(f"Drawn in {out}.", err=as_data)


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


def cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of a region as a terminal shows it."""
    score = "-" if row["score"] is None else f"{row['score']:.2f}"
    return [row["image"], row["kind"], *(f"{row[side]:.1f}" for side in SIDES), score, row["text"]]

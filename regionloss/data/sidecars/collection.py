"""Side-cars and their images as the commands of `regions` take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import typer
from PIL import Image

from regionloss.console.tables import counted
from regionloss.data.images.files import decoded, open_image
from regionloss.data.shards.addresses import unsigned
from regionloss.data.shards.keys import normal
from regionloss.data.shards.paths import exists, expand, is_folder, names_below
from regionloss.data.shards.source import OpenShard, open_source
from regionloss.data.sidecars.entries import row_regions, same_aspect
from regionloss.data.sidecars.schema import is_box
from regionloss.data.sidecars.sidecar import SUFFIX, Row, Sidecar, read_sidecar, sidecar_path, sides
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.regions.regions import Regions


def located(path: str) -> str:
    """Return the side-car that a path means: `00000.parquet` and `00000.tar` stand for `00000.regions.parquet`."""
    path = path.rstrip("/")
    # What img2dataset writes beside a shard is called 00000.parquet, too: the name of a side-car goes first.
    candidates = [path.removesuffix(SUFFIX).removesuffix(".parquet") + SUFFIX, sidecar_path("", path), path]
    found = [one for one in candidates if one.endswith(".parquet") and exists(one)]
    if not found:
        got = "no file of this name" if path == candidates[0] else f"'{path}', which is none"
        raise InputError(expected("side-car", f"a file such as '{candidates[0]}'", got))
    return found[0]


def all_sidecars(paths: Sequence[str]) -> Iterator[tuple[str, Sidecar]]:
    """Yield side-cars with their paths, each once, one in memory at a time."""
    found: dict[str, None] = {}
    for path in expand(list(paths)):
        if not is_folder(path):
            found[located(path)] = None
            continue
        names = [name for name in names_below(path) if name.endswith(SUFFIX)]
        if not names:
            raise InputError(expected(path, f"side-cars, *{SUFFIX}", "a folder without any"))
        found.update(dict.fromkeys(f"{path.rstrip('/')}/{name}" for name in names))
    for path in found:
        yield path, read_sidecar(path)


def usable(path: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows without entries that are no boxes in their images; say at the end how many there were."""
    left = 0
    for row in rows:
        regions = [region for region in row["regions"] if is_box(region)]
        left += len(row["regions"]) - len(regions)
        yield row | {"regions": regions}
    tell_left(path, left)


def tell_left(path: str, count: int) -> None:
    """Say on standard error how many regions of a file are left out, if any are."""
    if count:
        typer.echo(
            f"Left out: {counted(count, 'region')} of {path}, no box inside the image, or without score.", err=True
        )


def all_rows(paths: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of side-cars."""
    return chain.from_iterable(usable(path, sidecar.rows()) for path, sidecar in all_sidecars(paths))


def rows_by_key(paths: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of side-cars for a file in which a key is the name of one image.

    Raises:
        InputError: Two side-cars have rows of one key.
    """
    owners: dict[str, str] = {}
    for path, sidecar in all_sidecars(paths):
        for key in sidecar.places:
            if (other := owners.setdefault(key, path)) != path:
                got = f"'{key}', which {other} has, too"
                advice = "Export one of them at a time."
                raise InputError(expected(path, "keys of its own", got, advice))
        yield from usable(path, sidecar.rows())


def chosen_keys(path: str, sidecar: Sidecar, keys: Sequence[str], limit: int) -> list[str]:
    """Return the keys that are named, or the first of those with regions, then of those without."""
    keys = normal(keys)
    for key in keys:
        if key not in sidecar:
            raise UnknownNameError(f"{path} has no image '{key}'. {did_you_mean(key, list(sidecar.places)[:1000])}")
    if not len(sidecar):
        raise InputError(expected(path, "rows of images", "none"))
    by_regions = sorted(sidecar.rows(), key=lambda row: not row["regions"])
    return list(keys) or [row["key"] for row in by_regions[:limit]]


def pictures(
    images: str, sidecar: Sidecar, keys: Sequence[str], max_pixels: int
) -> Iterator[tuple[str, Image.Image | str, Mapping[str, Regions] | None]]:
    """Yield keys and images of a shard with their regions, by kind, in pixels; None for those of another aspect.

    In the place of an image that cannot be read stands the sentence that says so.
    """
    source = opened_shard(images)
    try:
        numbers = {key: number for number, key in enumerate(source.shard.keys())}
        for key in (key for key in keys if key in numbers):
            try:
                opened = open_image(source.shard.read(numbers[key]), key)
                image = decoded(opened, key, max_pixels=max_pixels).image
            except (InputError, OSError) as error:
                yield key, str(error), None
                continue
            row = sidecar[key]
            if not same_aspect(image.size, sides(row)):
                yield key, image, None
                continue
            kinds = {region["kind"] for region in row["regions"]}
            regions, dropped = row_regions(row, image.size, kinds)
            tell_left(f"'{key}'", dropped.total())
            yield key, image, regions
    finally:
        source.close()


def opened_shard(path: str) -> OpenShard:
    """Open a shard; raise InputError where there is none."""
    try:
        return open_source(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        got = f"'{unsigned(path)}', which is none"
        raise InputError(expected("--images", "a tar file or a folder of images", got)) from error


def advice_on_keys(keys: Sequence[str]) -> str:
    """Return a hint of what the keys of a shard look like."""
    return f"Its keys are such as '{keys[0]}'." if keys else "It holds no images."

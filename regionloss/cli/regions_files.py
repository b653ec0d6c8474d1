"""Side-cars and their images as the commands of `regions` take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError, UnknownNameError, did_you_mean, expected

if TYPE_CHECKING:
    from PIL import Image

    from ..data.formats.rows import Imported
    from ..data.sidecars import Row, Sidecar
    from ..regions import Regions
    from ..stages.sources import Source


def located(path: str) -> str:
    """Return the side-car that a path means: `00000.parquet` and `00000.tar` stand for `00000.regions.parquet`."""
    from ..data.paths import exists
    from ..data.sidecars import SUFFIX, sidecar_path

    path = path.rstrip("/")
    candidates = [path, path.removesuffix(".parquet") + SUFFIX, sidecar_path("", path)]
    found = [one for one in candidates if one.endswith(".parquet") and exists(one)]
    if not found:
        raise InputError(expected("side-car", f"a file such as '{candidates[1]}'", f"'{path}', which is none"))
    return found[0]


def all_rows(paths: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of side-cars, one side-car in memory at a time."""
    from ..data.paths import expand, is_folder, names_below
    from ..data.sidecars import SUFFIX, read_sidecar

    for path in expand(list(paths)):
        if not is_folder(path):
            yield from read_sidecar(located(path)).rows()
            continue
        names = [name for name in names_below(path) if name.endswith(SUFFIX)]
        if not names:
            raise InputError(expected(path, f"side-cars, *{SUFFIX}", "a folder without any"))
        for name in names:
            yield from read_sidecar(f"{path.rstrip('/')}/{name}").rows()


def chosen_keys(path: str, sidecar: Sidecar, keys: Sequence[str], limit: int) -> list[str]:
    """Return the keys that are named, or the first of those with regions, then of those without."""
    for key in keys:
        if key not in sidecar:
            raise UnknownNameError(f"{path} has no image '{key}'. {did_you_mean(key, list(sidecar.places)[:1000])}")
    if not len(sidecar):
        raise InputError(expected(path, "rows of images", "none"))
    by_regions = sorted(sidecar.rows(), key=lambda row: not row["regions"])
    return list(keys) or [row["key"] for row in by_regions[:limit]]


def pictures(images: str, sidecar: Sidecar, keys: Sequence[str]) -> Iterator[tuple[Image.Image, Mapping[str, Regions]]]:
    """Yield images of a shard with their regions, by kind, in pixels."""
    from ..data.annotating import kind_regions
    from ..data.images import decoded, open_image

    source = opened_shard(images)
    try:
        numbers = {key: number for number, key in enumerate(source.shard.keys())}
        for key in (key for key in keys if key in numbers):
            image = decoded(open_image(source.shard.read(numbers[key]), key), key).image
            row = sidecar[key]
            kinds = sorted({region["kind"] for region in row["regions"]})
            yield image, {k: kind_regions(k, [r for r in row["regions"] if r["kind"] == k], image.size) for k in kinds}
    finally:
        source.close()


def opened_shard(path: str) -> Source:
    """Open a shard; raise InputError where there is none."""
    from ..stages.sources import open_source

    try:
        return open_source(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            expected("--images", "a tar file or a folder of images", f"'{path}', which is none")
        ) from error


def advice_on_keys(keys: Sequence[str]) -> str:
    """Return a hint of what the keys of a shard look like."""
    return f"Its keys are such as '{keys[0]}'." if keys else "It holds no images."


def merge(target: str, images: str, imported: Imported) -> list[str]:
    """Put imported rows into the side-car of a shard; return the keys that the shard does not hold.

    Regions of earlier imports from the same format are replaced, those of others stay.
    """
    from ..data.sidecars import Sidecar, read_sidecar, with_scan, write_sidecar

    source = opened_shard(images)
    try:
        keys = source.shard.keys()
        if imported.rows and not imported.rows.keys() & set(keys):
            wanted, got = f"the shard that holds images such as '{next(iter(imported.rows))}'", "none of them"
            raise InputError(expected(f"--images '{images}'", wanted, got, advice_on_keys(keys)))
        try:
            known = read_sidecar(target)
        except FileNotFoundError:
            known = Sidecar.of([])
        rows = {row["key"]: row for row in known.rows()}
        for key in (key for key in keys if key in imported.rows):
            row = imported.rows[key]
            rows[key] = with_scan(rows.get(key, row | {"scans": [], "regions": []}), imported.scans[0], row["regions"])
        changed = Sidecar.of([rows[key] for key in keys if key in rows], known.scans, known.shard, known.files)
    finally:
        source.close()
    held = set(keys)
    # What detectors have done for the whole shard is no longer true where rows have come that they did not make.
    complete = known.scans if set(rows) <= set(known.places) else ()
    write_sidecar(target, replace(changed, scans=complete))
    return [key for key in imported.rows if key not in held]

"""Imported rows put into the side-car of a shard, by the shard's own keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regionloss.console.tables import counted
from regionloss.data.images.files import open_image, upright_size
from regionloss.data.shards.addresses import address
from regionloss.data.shards.atomic import alone
from regionloss.data.shards.keys import nfc, same_rule
from regionloss.data.shards.paths import is_tar
from regionloss.data.shards.source import OpenShard
from regionloss.data.sidecars.collection import advice_on_keys, opened_shard
from regionloss.data.sidecars.entries import same_aspect
from regionloss.data.sidecars.formats.rows import Imported, with_import
from regionloss.data.sidecars.recovery import keep_copy, known_sidecar
from regionloss.data.sidecars.sidecar import Row, Sidecar, new_row, sides, write_sidecar
from regionloss.errors import InputError, expected


def merge(target: str, images: str, imported: Imported) -> tuple[list[Row], list[str]]:
    """Put imported rows into the side-car of a shard.

    What an earlier import from the same format said of the same kinds is replaced; other kinds, and what detectors have
    found, stay.

    Returns:
        The imported rows that it holds now, and sentences about those that it does not.
    """
    images = address(images)
    source = opened_shard(images)
    try:
        keys, rule = source.shard.keys(), source.shard.head.rule
        rows, foreign = keyed(imported.rows, keys, images)
        sizes = sizes_of(source, rows)
    finally:
        source.close()
    held = [row for key, row in rows.items() if same_aspect(sizes[key], sides(row))]
    left = left_out(images, keys, foreign, rows, sizes)
    # Of what the file says of this shard's own images, something must be left: else nobody has looked at them.
    found = any(row["regions"] for row in rows.values())
    if not held or (found and not any(row["regions"] for row in held)):
        wanted = "images that the file describes"
        raise InputError(expected(f"--images '{images}'", wanted, "none of them", " ".join(left)))
    with alone(target):
        return held, [*left, *add(target, images, keys, held, sizes, rule)]


def keyed(rows: Mapping[str, Row], keys: Sequence[str], images: str) -> tuple[dict[str, Row], list[str]]:
    """Return imported rows by a shard's own keys, and the names that stand for none of its images.

    A name is a key as it is. A tar file has keys without suffix; and a letter with an accent is one sign or two. What
    names an image second is left out: nobody knows which of two files is meant.
    """
    known = {nfc(key): key for key in keys} | {key: key for key in keys}
    found: dict[str, Row] = {}
    foreign = []
    for name, row in rows.items():
        key = next((known[one] for one in (name, *shorter(name, is_tar(images))) if one in known), None)
        if key is None or key in found:
            foreign.append(name)
        else:
            found[key] = row | {"key": key}
    return found, foreign


def shorter(name: str, suffixed: bool) -> list[str]:
    """Return what else a file's key may be; where keys have no suffix, what stands before its first or last dot."""
    name = nfc(name)
    folder, slash, base = name.rpartition("/")
    stems = (base.partition(".")[0], base.rpartition(".")[0]) if suffixed else ()
    return [name, *(f"{folder}{slash}{stem}" for stem in stems if stem)]


def add(
    target: str,
    images: str,
    keys: Sequence[str],
    held: Sequence[Row],
    sizes: Mapping[str, tuple[int, int]],
    rule: str,
) -> list[str]:
    """Write imported rows into a side-car; return a sentence about one that is damaged, of which a copy is kept."""
    known, damage = known_sidecar(target)
    if damage:
        damage += (
            f". It is kept as {keep_copy(target)}. What was in it is in that alone: annotate, or import, it again."
        )
    if len(known) and not same_rule(known.rule, rule):
        got = "those of a side-car from before, up to the first"
        raise InputError(expected(target, f"keys up to the {rule}", got, "Annotate again, or remove the side-car."))
    if len(known) and not known.places.keys() & set(keys):
        got = f"that of another shard, with keys such as '{next(iter(known.places))}'"
        raise InputError(expected(target, f"the side-car of {images}", got, "Say another --out."))
    rows = {row["key"]: row for row in known.rows()}
    complete = known.scans
    for row in held:
        key = row["key"]
        if key not in rows or not same_aspect(sizes[key], sides(rows[key])):
            rows[key] = new_row(key, sizes[key])
            complete = ()  # no detector has looked at this image
        rows[key] = with_import(rows[key], row)
    ordered = [rows[key] for key in keys if key in rows]
    write_sidecar(target, Sidecar.of(ordered, complete, known.shard, known.files, known.rule if len(known) else rule))
    return [damage] if damage else []


def sizes_of(source: OpenShard, rows: Mapping[str, Row]) -> dict[str, tuple[int, int]]:
    """Return `(width, height)` of the upright images of rows that a shard holds; an unreadable one has its row's."""
    sizes = {}
    for number, key in enumerate(source.shard.keys()):
        if key in rows:
            try:
                sizes[key] = upright_size(open_image(source.shard.read(number), key), key)
            except (InputError, OSError):
                sizes[key] = sides(rows[key])
    return sizes


def left_out(
    images: str,
    keys: Sequence[str],
    foreign: Sequence[str],
    rows: Mapping[str, Row],
    sizes: Mapping[str, tuple[int, int]],
) -> list[str]:
    """Return a sentence about names that stand for no image of a shard, and one about images of another aspect."""
    sentences = []
    if foreign:
        where = f"{counted(len(foreign), 'image')} that {images} does not hold, the first is"
        sentences.append(f"Left out: {where} '{foreign[0]}'. {advice_on_keys(keys)}")
    if other := [key for key, size in sizes.items() if not same_aspect(size, sides(rows[key]))]:
        (width, height), (wide, high) = sizes[other[0]], sides(rows[other[0]])
        what = f"the first is '{other[0]}', {height} x {width}, annotated as {high} x {wide}"
        sentence = f"Left out: {counted(len(other), 'image')} of another aspect than annotated; {what}."
        if same_aspect((height, width), (wide, high)):
            sentence += " The sides are exchanged, as where EXIF turns a photograph: annotate it upright."
        sentences.append(sentence)
    return sentences

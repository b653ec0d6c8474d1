"""Regions as a sequence and as a file: picked, joined, shown briefly, saved and loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor

from regionloss.errors import InputError, expected, reason_of

if TYPE_CHECKING:
    from regionloss.regions.regions import Regions

FORMAT = "regionloss.Regions"
#: What stands for a field that other parts have; NaN, where it is not named.
MISSING: dict[str, Any] = {"valid": True, "weights": 1.0}
#: Fields with something else than a row for each region.
OTHERS = ("image_index", "annotated", "layout")
SHOWN_TEXTS = 3


class RegionAccess:
    """What `Regions` can do besides holding its fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __getitem__(self, index: int | slice | Sequence[int] | Sequence[bool] | Tensor) -> Regions:
        """Return some of the regions, still of the same images: by position, slice, positions, or a mask (R,)."""
        regions = cast("Regions", self)
        count, device = len(regions), regions.device
        if isinstance(index, slice):
            picked = torch.arange(count, device=device)[index] if index.step is None or index.step > 0 else None
        elif isinstance(index, int | Sequence | Tensor) and not isinstance(index, str):
            picked = torch.as_tensor([index] if isinstance(index, int) else index, device=device)
        else:
            picked = None
        fits = picked is not None and picked.ndim == 1 and not picked.is_floating_point()
        if picked is None or not fits or (picked.dtype == torch.bool and len(picked) != count):
            wanted = f"a position, a slice, positions, or a mask of {count}"
            raise InputError(expected("regions[...]", wanted, repr(index)[:60]))
        if picked.dtype == torch.bool:
            return regions.select(picked).laid_out()
        positions = picked.to(torch.int64)
        if device.type == "cpu" and bool(((positions < -count) | (positions >= count)).any()):
            raise InputError(expected("regions[...]", f"positions below {count}", repr(index)[:60]))
        return regions.select(torch.where(positions < 0, positions + count, positions)).laid_out()

    def __iter__(self) -> Iterator[Regions]:
        """Yield the regions one by one, each of the same images."""
        return (self[number] for number in range(len(cast("Regions", self))))

    @classmethod
    def cat(cls, parts: Sequence[Regions], *, same_images: bool = False) -> Regions:
        """Return batches of one kind as one: the images of one part after those of another.

        Args:
            parts: Regions of images of one size, on one device.
            same_images: Whether all parts are of the same images, as what two detectors found.

        Raises:
            InputError: No parts, other kinds or sizes, or, where images follow one another, an unknown number of them.
        """
        parts = list(parts)
        check_parts(parts, same_images)
        offsets = [0] * len(parts)
        counts = [part.num_images or 0 for part in parts]
        if not same_images:
            offsets = [sum(counts[:number]) for number in range(len(parts))]
        known = all(part.num_images is not None for part in parts)
        rows = {field.name: joined(field.name, parts) for field in fields(parts[0]) if field.name not in OTHERS}
        flags = None
        if not same_images and any(part.annotated is not None for part in parts):
            flags = torch.cat([looked_at(part) for part in parts])
        elif same_images:
            flags = parts[0].annotated
        shared = {name: getattr(parts[0], name) for name in ("kind", "image_size")}
        index = torch.cat([part.image_index + offset for part, offset in zip(parts, offsets, strict=True)])
        images = (max(counts) if same_images else sum(counts)) if known else None
        values = {name: value for name, value in rows.items() if name not in shared}
        return type(parts[0])(**shared, **values | {"image_index": index, "num_images": images, "annotated": flags})

    def save(self, path: str | Path) -> None:
        """Write the regions to a file that `Regions.load`, and `torch.load(path, weights_only=True)`, read.

        Raises:
            InputError: The file cannot be written.
        """
        values = {field.name: getattr(self, field.name) for field in fields(cast(Any, self)) if field.name != "layout"}
        held = {name: value.cpu() if isinstance(value, Tensor) else value for name, value in values.items()}
        partial = f"{os.fspath(path)}.{os.getpid()}.part"
        try:
            torch.save({"format": FORMAT, **held, "image_size": tuple(held["image_size"])}, partial)
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:
            Path(partial).unlink(missing_ok=True)
            raise InputError(expected(f"{path}", "a file that can be written", reason_of(error))) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return regions that `save` wrote, checked, on the CPU. Nothing in the file is run.

        Raises:
            InputError: Something else.
        """
        where, wanted = f"{path}", "a file that Regions.save wrote"
        try:
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises anything of a file that is none of its own
            raise InputError(expected(where, wanted, reason_of(error)[:200])) from error
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise InputError(expected(where, wanted, f"a {type(found).__name__}"))
        if unknown := sorted(map(str, found.keys() - {field.name for field in fields(cast(Any, cls))})):
            advice = "It is of a later regionloss; install that."
            raise InputError(expected(where, "fields of Regions", f"'{unknown[0]}'", advice))
        return cls(**found)

    def __repr__(self) -> str:
        regions = cast("Regions", self)
        count, (height, width) = len(regions), regions.image_size
        images = (
            "" if regions.num_images is None else f" in {regions.num_images} image{'s' * (regions.num_images != 1)}"
        )
        parts = [f"'{regions.kind}'", f"{count} region{'s' * (count != 1)}{images} of {height} x {width}"]
        if regions.device.type != "cpu":  # values there are not waited for
            return f"Regions({', '.join([*parts, f'on {regions.device}'])})"
        if regions.scores is not None and count:
            low, high = regions.scores.min(), regions.scores.max()
            parts.append(f"scores {float(low):.2g} to {float(high):.2g}")
        if regions.keypoints is not None:
            parts.append(f"{regions.keypoints.shape[1]} keypoints each")
        if regions.valid is not None:
            parts.append(f"{int(regions.valid.sum())} valid")
        if regions.texts is not None:
            shown = [repr(text) for text in regions.texts[:SHOWN_TEXTS]]
            parts.append(f"texts {', '.join(shown)}{', ...' * (count > SHOWN_TEXTS)}")
        return f"Regions({', '.join(parts)})"


def check_parts(parts: Sequence[Any], same_images: bool) -> None:
    """Raise InputError for what cannot be joined."""
    if not parts or not all(isinstance(part, RegionAccess) for part in parts):
        got = "none" if not parts else next(type(p).__name__ for p in parts if not isinstance(p, RegionAccess))
        raise InputError(expected("Regions.cat", "a list of Regions", got))
    for name in ("kind", "image_size", "device"):
        found = {str(tuple(v) if isinstance(v := getattr(part, name), list | tuple) else v): None for part in parts}
        if len(found) > 1:
            raise InputError(expected("Regions.cat", f"one {name}", " and ".join(found)))
    numbers = {part.num_images for part in parts}
    if same_images and len(numbers - {None}) > 1:
        raise InputError(expected("Regions.cat", "one num_images", " and ".join(map(str, sorted(numbers - {None})))))
    if not same_images and any(part.num_images is None for part in parts[:-1]):
        advice = "Say it when they are built, or same_images=True."
        raise InputError(expected("Regions.cat", "the number of images of each part", "None", advice))


def joined(name: str, parts: Sequence[Regions]) -> Any:
    """Return a field with a row for each region, of all parts; None where no part has it."""
    values = [getattr(part, name) for part in parts]
    if all(value is None for value in values):
        return None
    if name == "texts":
        return tuple(t for part, value in zip(parts, values, strict=True) for t in value or ("",) * len(part))
    example = next(value for value in values if value is not None)
    if not isinstance(example, Tensor):
        return example
    rows = []
    for part, value in zip(parts, values, strict=True):
        if value is not None and value.shape[1:] != example.shape[1:]:
            shapes = f"{tuple(example.shape[1:])} and {tuple(value.shape[1:])}"
            raise InputError(expected(f"Regions.cat: {name}", "rows of one shape", shapes))
        blank = example.new_full((len(part), *example.shape[1:]), MISSING.get(name, torch.nan))
        rows.append(blank if value is None else value)
    return torch.cat(rows)


def looked_at(regions: Regions) -> Tensor:
    """Return (B,) which images a detector looked at."""
    if regions.annotated is not None:
        return regions.annotated
    if regions.num_images is None:
        raise InputError(expected("Regions.cat", "the number of images of each part", "None"))
    return torch.ones(regions.num_images, dtype=torch.bool, device=regions.device)

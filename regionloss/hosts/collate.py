"""Examples that hold their regions -> the batch of somebody else's loader, with regions in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regionloss.errors import InputError, expected
from regionloss.regions.collation import RegionFilter, check_single, collate_regions
from regionloss.regions.regions import Regions


@dataclass(frozen=True)
class RegionCollate:
    """A `collate_fn` that joins the examples' regions and leaves everything else to another one.

    Args:
        collate: Joins the rest; None for PyTorch's own.
        key: Key (of a mapping) or position (in a tuple) of an example's regions, and of the batch's afterwards. An
            example's are `Regions`, or a mapping of kind to them; one that lacks them was not looked at.
        filters: Rules for the regions that are kept, by kind.

    Example:
        >>> import torch, regionloss as rl
        >>> example = {"image": torch.zeros(3, 8, 8), "regions": rl.Regions.empty("text", (8, 8), 1)}
        >>> batch = rl.RegionCollate()([example, example])
        >>> batch["image"].shape, batch["regions"]["text"].num_images
        (torch.Size([2, 3, 8, 8]), 2)
    """

    collate: Callable[[list[Any]], Any] | None = None
    key: str | int = "regions"
    filters: Mapping[str, RegionFilter] | None = None

    def __call__(self, examples: Sequence[Any]) -> Any:
        """Return the batch.

        Raises:
            InputError: Examples without such a place, something else there than the regions of one image, or a batch
                of another form than the examples.
        """
        from torch.utils.data import default_collate

        parts = [self.split(example) for example in examples]
        regions, _ = collate_regions([found for _, found in parts], self.filters)
        batch = (self.collate or default_collate)([rest for rest, _ in parts])
        if isinstance(self.key, int) and isinstance(batch, tuple | list):
            position = self.key % len(examples[0])
            return (*batch[:position], regions, *batch[position:])
        if isinstance(self.key, str) and isinstance(batch, Mapping):
            return {**batch, self.key: regions}
        wanted = f"a batch that is a {'tuple' if isinstance(self.key, int) else 'mapping'}, as the examples are"
        advice = "Give it a collate_fn that keeps their form."
        raise InputError(expected("RegionCollate: collate", wanted, type(batch).__name__, advice))

    def split(self, example: Any) -> tuple[Any, Mapping[str, Regions]]:
        """Return an example without its regions, and them by kind."""
        if isinstance(example, Mapping) and isinstance(self.key, str):
            found = example.get(self.key)
            rest: Any = {key: value for key, value in example.items() if key != self.key}
        elif (
            isinstance(example, tuple | list) and isinstance(self.key, int) and -len(example) <= self.key < len(example)
        ):
            found = example[self.key]
            rest = tuple(value for i, value in enumerate(example) if i != self.key % len(example))
        else:
            where = f"a mapping with {self.key!r}" if isinstance(self.key, str) else f"a tuple with position {self.key}"
            raise InputError(expected("RegionCollate: example", where, type(example).__name__))
        by_kind = {found.kind: found} if isinstance(found, Regions) else {} if found is None else found
        check_example(by_kind)
        return rest, by_kind


def check_example(by_kind: Any) -> None:
    """Raise InputError for what is not the regions of one image by their kind."""
    where = "RegionCollate: example"
    if not isinstance(by_kind, Mapping):
        advice = "For example {'text': Regions(...)}."
        raise InputError(expected(where, "Regions, or a mapping of kind to them", type(by_kind).__name__, advice))
    for kind, found in by_kind.items():
        if not isinstance(found, Regions):
            raise InputError(expected(f"{where}['{kind}']", "Regions", type(found).__name__))
        check_single(found, f"{where}['{kind}']", kind, found.image_size)

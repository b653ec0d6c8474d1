"""Examples that hold their regions -> the batch of somebody else's loader, with regions in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..collation import RegionFilter, collate_regions
from ..errors import InputError, expected
from ..regions import Regions


@dataclass(frozen=True)
class RegionCollate:
    """A `collate_fn` that joins the examples' regions and leaves everything else to another one.

    Args:
        collate: Joins the rest; None for PyTorch's own.
        key: Key (of a mapping) or position (in a tuple) of an example's regions, and of the batch's afterwards. An
            example's are `Regions`, or a mapping of kind to them; one that lacks them was not looked at.
        filters: Which regions are kept, by kind.

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
            InputError: Examples without such a place, or something else than regions there.
        """
        from torch.utils.data import default_collate

        parts = [self.split(example) for example in examples]
        regions, _ = collate_regions([found for _, found in parts], self.filters)
        batch = (self.collate or default_collate)([rest for rest, _ in parts])
        if isinstance(self.key, int):
            position = self.key % len(examples[0])
            return (*batch[:position], regions, *batch[position:])
        return {**batch, self.key: regions}

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
        return rest, by_kind

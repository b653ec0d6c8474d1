"""Size groups: small, medium and large instances, by their share of the image."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GROUPS = ("small", "medium", "large")
#: Edges of the groups, [low, high), by the side that images are reconstructed at and the kind of region.
#: Source: TokBench's published aggregation.
EDGES: Mapping[int, Mapping[str, tuple[float, float, float, float]]] = MappingProxyType(
    {
        256: {"text": (0.02, 0.03, 0.04, 1.0), "face": (0.0, 0.1, 0.2, 1.0)},
        512: {"text": (0.01, 0.02, 0.03, 1.0), "face": (0.0, 0.05, 0.2, 1.0)},
        1024: {"text": (0.005, 0.01, 0.02, 1.0), "face": (0.0, 0.05, 0.1, 1.0)},
    }
)


def size_group(kind: str, size: float, setting: int) -> str | None:
    """Return the group of an instance; None for one that is outside of all, or of a kind without groups.

    Args:
        kind: Kind of the region, e.g. `text`.
        size: Its share of the image's longest side.
        setting: Side that images are reconstructed at: 256, 512 or 1024 pixels.
    """
    edges = EDGES[setting].get(kind)
    if edges is None:
        return None
    return next(
        (group for group, low, high in zip(GROUPS, edges[:-1], edges[1:], strict=True) if low <= size < high),
        None,
    )

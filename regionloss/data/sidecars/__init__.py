"""Side-cars: the regions of a shard's images, in a file beside it."""

from regionloss.data.sidecars.collection import located
from regionloss.data.sidecars.entries import Rows, same_aspect
from regionloss.data.sidecars.lookup import Sidecars, check_found, check_kinds
from regionloss.data.sidecars.sidecar import Row, Scan, Sidecar, read_sidecar, sidecar_path, write_sidecar

__all__ = [
    "Row",
    "Rows",
    "Scan",
    "Sidecar",
    "Sidecars",
    "check_found",
    "check_kinds",
    "located",
    "read_sidecar",
    "same_aspect",
    "sidecar_path",
    "write_sidecar",
]

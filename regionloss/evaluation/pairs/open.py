"""What a user calls data -> originals: TokBench's folders, or any images with side-cars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regionloss.data.images.files import MOST_PIXELS
from regionloss.evaluation.pairs.columns import Columns
from regionloss.evaluation.pairs.images import ImageFiles
from regionloss.evaluation.pairs.tokbench import TokBench, is_tokbench


def open_originals(
    paths: Sequence[str],
    regions: str | None = None,
    columns: Columns | None = None,
    name: str | None = None,
    max_pixels: int = MOST_PIXELS,
) -> ImageFiles | TokBench:
    """Return the images that paths stand for.

    Args:
        paths: One folder of TokBench, or folders, tar files and patterns of them.
        regions: Folder of side-cars; None looks for them beside the images.
        columns: Other columns of images, for groups.
        name: What tables call the set.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        InputError: Nothing is there.
    """
    if len(paths) == 1 and regions is None and is_tokbench(Path(paths[0])):
        return TokBench(Path(paths[0]), columns, name, max_pixels)
    return ImageFiles(paths, regions, columns, name, max_pixels)

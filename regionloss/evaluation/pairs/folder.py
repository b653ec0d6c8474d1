"""A folder of images, found by the names that other data or programs give them."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from torch import Tensor

from regionloss.data.images.files import MOST_PIXELS, SUFFIXES, decoded, open_image, to_tensor
from regionloss.data.shards.shards import FolderShard
from regionloss.data.shards.source import marks_of
from regionloss.errors import InputError, reason_of


class ImageFolder:
    """Images below a folder by name.

    Args:
        path: Folder, local or an address that fsspec opens.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        InputError: There are no images in it.
    """

    def __init__(self, path: str, max_pixels: int = MOST_PIXELS) -> None:
        self.shard, self.max_pixels = FolderShard(path), max_pixels
        self.numbers = {key: number for number, key in enumerate(self.shard.keys())}
        self.stems: dict[str, list[str]] = {}
        self.bases: dict[str, list[str]] = {}
        for key in self.numbers:
            self.stems.setdefault(without_suffix(key), []).append(key)
            self.bases.setdefault(PurePosixPath(key).name, []).append(key)

    @property
    def identity(self) -> str:
        """What changes where one of the files does."""
        marks = sorted(marks_of(self.shard.path).items())
        return hashlib.sha256(repr(marks).encode("utf-8", "backslashreplace")).hexdigest()

    def named(self, key: str) -> list[str]:
        """Return the images of a name: exactly so, else with the suffix of another kind of image file."""
        if key in self.numbers:
            return [key]
        return self.stems.get(key, []) or self.stems.get(without_suffix(key), [])

    def ending(self, name: str) -> list[str]:
        """Return the images whose path from the folder ends with a file's name, or with folders and a name."""
        name = PurePosixPath(name.replace("\\", "/")).as_posix().lstrip("/")
        candidates = self.bases.get(PurePosixPath(name).name, [])
        return [key for key in candidates if key == name or key.endswith(f"/{name}")]

    def read(self, key: str) -> Tensor:
        """Return an image (3, H, W) in [-1, 1]. Raises InputError where it cannot be read."""
        try:
            contents = self.shard.read(self.numbers[key])
        except OSError as error:
            raise InputError(f"{key}: {reason_of(error)}") from error
        return to_tensor([decoded(open_image(contents, key), key, max_pixels=self.max_pixels).image])[0]


def without_suffix(key: str) -> str:
    """Return a name without the suffix of an image file."""
    path = PurePosixPath(key)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else key

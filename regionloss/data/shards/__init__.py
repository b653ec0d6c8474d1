"""Shards: tar files and folders of images, by path or address."""

from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.paths import exists, is_image, list_images, names_below
from regionloss.data.shards.shards import ShardSet, find_shards
from regionloss.data.shards.source import open_source

__all__ = [
    "ShardSet",
    "exists",
    "find_shards",
    "is_image",
    "list_images",
    "names_below",
    "open_source",
    "write_whole",
]

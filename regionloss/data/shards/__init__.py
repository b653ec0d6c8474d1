"""Shards: tar files and folders of images, by path or address."""

from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.captions import captions_of
from regionloss.data.shards.omissions import omissions
from regionloss.data.shards.paths import exists, file_system, is_image, is_local, list_images, names_below
from regionloss.data.shards.shards import ShardSet, find_shards
from regionloss.data.shards.source import OpenShard, mark_of_shard, open_source

__all__ = [
    "OpenShard",
    "ShardSet",
    "captions_of",
    "exists",
    "file_system",
    "find_shards",
    "is_image",
    "is_local",
    "list_images",
    "mark_of_shard",
    "names_below",
    "omissions",
    "open_source",
    "write_whole",
]

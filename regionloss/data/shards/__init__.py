"""Shards: tar files and folders of images, by path or address."""

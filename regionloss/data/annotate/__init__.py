"""Annotation of shards: one pure function a shard, and who runs it."""

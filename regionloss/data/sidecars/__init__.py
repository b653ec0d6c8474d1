"""Side-cars: the regions of a shard's images, in a file beside it."""

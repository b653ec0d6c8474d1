"""Images with their regions: reading, rendering, cropping, annotating. Everything drawn is a function of a seed."""

"""Words drawn on images."""

"""The checker of plugins behind `regionloss plugin check`."""

"""An existing loss + region terms: the loss's class is not edited, regions reach it beside its arguments."""

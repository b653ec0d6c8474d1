"""Training loops of the reference build."""

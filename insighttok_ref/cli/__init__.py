"""Commands of the reference build."""

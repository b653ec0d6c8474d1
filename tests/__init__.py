"""Tests of the project; a package, since other distributions install one of that name."""

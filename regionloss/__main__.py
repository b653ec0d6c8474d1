"""`python -m regionloss`."""

from .cli.main import run

run()

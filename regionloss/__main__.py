"""`python -m regionloss`."""

from regionloss.cli.main import run

run()

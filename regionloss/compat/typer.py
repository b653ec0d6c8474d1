"""Private parts of typer."""

from __future__ import annotations

import typer


def without_completion(app: typer.Typer) -> None:
    """Take the two completion options from an app that exists already: only its constructor has a public switch."""
    app._add_completion = False

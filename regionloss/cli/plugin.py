"""`regionloss plugin new` and `regionloss plugin check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regionloss.console.sentences import SentenceGroup
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import print_findings
from regionloss.testing.template import write_plugin

app = typer.Typer(cls=SentenceGroup, no_args_is_help=True, help="Write a plugin of your own, and check it.")

Name = Annotated[str, typer.Argument(help="What recipes will call it: lower-case letters, digits and dashes.")]
Out = Annotated[Path, typer.Option(help="Folder in which 'regionloss-NAME' is made.")]
Kind = Annotated[str, typer.Option(help="Kind of its regions.", show_default="NAME")]
DetectorName = Annotated[str, typer.Option(help="Name of its detector; the class is named after it.")]
BackboneName = Annotated[str, typer.Option(help="Name of its backbone, and of the term of the two.")]
Author = Annotated[str, typer.Option(help="'Name <address>', for the metadata.", show_default=False)]
Where = Annotated[
    Path, typer.Argument(metavar="PATH", help="A plugin's folder, its one Python file, or an installed plugin's name.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Also fail for what could not be tried, and for advice.")]


@app.command()
def new(
    name: Name,
    out: Out = Path(),
    kind: Kind = "",
    author: Author = "",
    detector: DetectorName = "colour",
    backbone: BackboneName = "edges",
) -> None:
    """Write a package with hooks, a detector, a backbone, a term, a recipe and tests that pass."""
    folder, files, notes = write_plugin(name, out, kind, author, detector, backbone)
    typer.echo(f"{folder}: {len(files)} files. They work as they are; what is to be replaced is marked REPLACE.")
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"\n  cd {folder}\n  python -m pytest\n  regionloss plugin check .\n  pip install -e .")


@app.command()
def check(path: Where = Path(), strict: Strict = False) -> None:
    """List what a plugin has and what it lacks, each with what to do."""
    raise typer.Exit(print_findings(findings_of(path), strict=strict))

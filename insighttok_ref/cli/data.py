"""`regionloss data render`: drawn words with exact boxes, as shards that train like any others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from regionloss.console import SentenceGroup
from regionloss.errors import InputError, expected

app = typer.Typer(cls=SentenceGroup, no_args_is_help=True, help="Make training data: drawn words with exact boxes.")
Sizes = tuple[int, int]
#: Options that say nothing of one plain word on a white ground.
NOT_OF_A_PRIMER = ("words_per_image", "paragraphs", "lines", "plain", "grounds")


@app.callback()
def data() -> None:
    """Make training data: drawn words with exact boxes."""


@app.command()
def render(
    typed: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for shards and side-cars.")],
    count: Annotated[int, typer.Option(min=1, help="Images.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything: the same seed draws the same images.")] = 0,
    size: Annotated[int, typer.Option(min=16, help="Side of the square images, pixels.")] = 256,
    font_sizes: Annotated[Sizes, typer.Option(help="Smallest and largest font size, pixels.")] = (12, 48),
    words_per_image: Annotated[Sizes, typer.Option(help="Fewest and most words of an image.")] = (1, 6),
    paragraphs: Annotated[float, typer.Option(min=0, max=1, help="Share of images with a paragraph instead.")] = 0.3,
    lines: Annotated[Sizes, typer.Option(help="Fewest and most lines of a paragraph.")] = (2, 8),
    plain: Annotated[float, typer.Option(min=0, max=1, help="Share of plain grounds.")] = 0.25,
    grounds: Annotated[Path | None, typer.Option(help="Folder of pictures to write on (the first 1000).")] = None,
    fonts: Annotated[Path | None, typer.Option(help="Folder of font files; each draws the words it has.")] = None,
    words: Annotated[Path | None, typer.Option(help="File of words, one a line; or japanese, french, ...")] = None,
    letters: Annotated[
        Sizes | None, typer.Option(help="Shortest and longest words, letters.", show_default="any")
    ] = None,
    primer: Annotated[
        bool, typer.Option("--primer", help="One word an image, black on white in the middle, for a small generator.")
    ] = False,
    shard_size: Annotated[int, typer.Option(min=1, help="Images of a shard.")] = 1000,
    suffix: Annotated[Literal["png", "jpg", "webp"], typer.Option("--format", help="How images are kept.")] = "png",
    caption: Annotated[
        str | None,
        typer.Option(
            help="Caption of each image, for a generator, with {words} in it: 'text that reads: {words}'.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 draws in this one.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Picture to write: the first images, boxes outlined.")] = None,
) -> None:
    """Draw words and paragraphs over pictures and plain grounds: tar shards, and side-cars with boxes and texts."""
    from insighttok_ref.data.render_shards import Rendering, render_shards
    from regionloss.console import Progress, check_suffix
    from regionloss.data.images import to_image
    from regionloss.data.words import TextStyle
    from regionloss.disk import guarded
    from regionloss.pictures import annotated, save
    from regionloss.pictures import sheet as draw

    if sheet is not None:
        check_suffix(sheet)
    if out.exists() and not out.is_dir():
        raise InputError(expected("--out", "a folder", f"'{out}', which is a file"))
    if caption is not None and "{words}" not in caption:
        raise InputError(expected("--caption", "a text with {words}, what is drawn", f"'{caption}'"))
    if primer:
        check_primer(typed)
    style = TextStyle(font_sizes=font_sizes, words=words_per_image, paragraphs=paragraphs, lines=lines)
    rendering = Rendering(size, style, seed, grounds, plain, fonts, words, letters, primer)
    with guarded(out, "'data render'"), Progress("images drawn", count) as shown:
        paths = render_shards(
            rendering,
            out,
            count,
            shard_size=shard_size,
            suffix=suffix,
            caption=caption,
            workers=workers,
            tick=shown.advance,
            say=lambda sentence: typer.echo(sentence, err=True),
        )
    if sheet is not None:
        source = rendering.source()
        samples = [source.sample(number) for number in range(min(count, 16))]
        save(draw([annotated(to_image(sample.image), sample.regions["text"]) for sample in samples]), sheet)
    typer.echo(f"{count} images in {len(paths)} shards: images: {out}/*.tar, regions: {out}")


def check_primer(typed: typer.Context) -> None:
    """Raise InputError where what was typed says of a primer what it does not have."""
    sources = {name: typed.get_parameter_source(name) for name in NOT_OF_A_PRIMER}
    if said := [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]:
        got = f"--{said[0].replace('_', '-')} beside it"
        raise InputError(expected("--primer", "plain words alone, one an image", got, "Leave one of them out."))

"""`regionloss reconstruct`: images beside what a tokenizer makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from insighttok_ref.cli.checkpoint import Codebook
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from insighttok_ref.tokenizers.base import Tokenizer

#: Most images in the picture, and the longest side of each there, pixels.
DRAWN, CELL = 32, 384
GAP, LINE = 8, 22


class Reconstruction(NamedTuple):
    """An image, its reconstruction at the same size, and PSNR at the size that the tokenizer saw."""

    image: Image.Image
    result: Image.Image
    seen: tuple[int, int]
    psnr: float


def reconstruct(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    checkpoint: Annotated[
        Path, typer.Option(help="Tokenizer: ours, the published one, taming's or LlamaGen's; seen by itself.")
    ],
    size: Annotated[int, typer.Option(min=1, help="Side of the square that images are fitted in, pixels.")] = 256,
    out: Annotated[Path, typer.Option(help="Picture to write: originals beside reconstructions.")] = Path(
        "reconstructions.png"
    ),
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the reconstructions, each at its image's size.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU if there is one.", show_default=False)
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also read a checkpoint that holds more than tensors; nothing is run.")
    ] = False,
    codebook: Codebook = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image that is decoded.")] = 178_956_970,
) -> None:
    """Reconstruct images with a tokenizer: a picture that shows both side by side, and PSNR."""
    from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
    from regionloss.console import check_suffix, print_table
    from regionloss.data.images import read_image
    from regionloss.pictures import save as save_picture

    check_suffix(out)
    files, skipped = list(listed(images)), 0
    targets = places(files, save)
    protect([path for path, _ in files], [out, *targets])
    found = read_tokenizer(checkpoint, trust=trust, codebook=codebook)
    for note in found.notes:
        typer.echo(note)
    model = found.model.to(chosen(device))
    check_size(size, model.downsampling)
    rows: list[list[str]] = []
    drawn: list[tuple[Image.Image, Image.Image, str]] = []
    for (path, _), target in zip_longest(files, targets):
        try:
            image = read_image(path, max_pixels)
        except InputError as error:
            typer.echo(f"Skipped: {error}", err=True)
            skipped += 1
            continue
        one = reconstructed(model, image, size)
        rows.append([str(path), sides(image.size), sides(one.seen), f"{one.psnr:.2f}"])
        if len(drawn) < DRAWN:
            drawn.append(shown(one))
        if target is not None:
            save_picture(one.result, target)
    if not rows:
        raise InputError(expected("images", "at least one that can be read", f"none of {skipped}"))
    save_picture(page(drawn), out)
    print_table(f"{len(rows)} images", ["image", "size", "reconstructed at", "PSNR (dB)"], rows)
    first = f" (the first {DRAWN})" if len(rows) > DRAWN else ""
    typer.echo(f"Drawn in {out}{first}." + (f" Saved in {save}." if save else ""))


def listed(images: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each image file with its name below the folder that stands for it."""
    from regionloss.data.shards import list_images

    for path in images:
        if path.is_dir():
            yield from ((file, file.relative_to(path)) for file in list_images(path))
        else:
            yield path, Path(path.name)


def places(files: list[tuple[Path, Path]], save: Path | None) -> list[Path]:
    """Return where each reconstruction goes: its image's name as PNG, numbered where two have the same."""
    taken: dict[Path, None] = {}
    for _, name in files if save else []:
        wanted, number = name.with_suffix(".png"), 2
        while wanted in taken:
            wanted, number = name.with_name(f"{name.stem}-{number}.png"), number + 1
        taken[wanted] = None
    return [save / name for name in taken] if save else []


def protect(images: list[Path], targets: list[Path]) -> None:
    """Raise InputError where a result would replace one of the images."""
    originals = {path.resolve() for path in images}
    for target in targets:
        if target.resolve() in originals:
            advice = "Choose another --out, or another folder for --save."
            raise InputError(expected("results", "files that are none of the images", f"'{target}'", advice))


def chosen(device: str | None) -> torch.device:
    """Return the device, or a sentence why it is not to be had."""
    import torch

    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(expected("--device", "a device of this machine", f"'{device}' ({reason})")) from error
    return found


def check_size(size: int, factor: int) -> None:
    """Raise InputError for a size that the tokenizer does not divide."""
    if size % factor:
        near = max(factor, round(size / factor) * factor)
        raise InputError(expected("--size", f"a multiple of {factor}", str(size), f"Try {near}."))


def reconstructed(model: Tokenizer, image: Image.Image, size: int) -> Reconstruction:
    """Return an image's reconstruction, fitted in a square and cut out of it again."""
    import torch

    from regionloss.data.images import fit, restore, to_image, to_tensor
    from regionloss.evaluation import psnr

    fitted = fit(image, (size, size))
    with torch.inference_mode():
        pixels = to_tensor([fitted.canvas])
        output = model(pixels.to(model.codebook.device)).reconstruction.float().cpu()
    left, top, right, bottom = fitted.box
    inside = (..., slice(top, bottom), slice(left, right))
    value = float(psnr(output[inside], pixels[inside])[0])
    return Reconstruction(image, restore(to_image(output[0]), fitted), (right - left, bottom - top), value)


def shown(one: Reconstruction) -> tuple[Image.Image, Image.Image, str]:
    """Return both pictures small enough for the page, and what stands above the second."""
    small = one.image.copy(), one.result.copy()
    for picture in small:
        picture.thumbnail((CELL, CELL))
    return *small, f"{one.psnr:.2f} dB"


def page(rows: list[tuple[Image.Image, Image.Image, str]]) -> Image.Image:
    """Return a row an image: the original, and the reconstruction with its PSNR."""
    from PIL import Image, ImageDraw, ImageFont

    width = max(90, *(first.width for first, _, _ in rows))
    height = sum(first.height + LINE + GAP for first, _, _ in rows)
    sheet = Image.new("RGB", (2 * width + 3 * GAP, height + GAP), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(size=14), GAP
    for first, second, label in rows:
        for picture, left, text in ((first, GAP, "original"), (second, width + 2 * GAP, label)):
            draw.text((left, top), text, fill="black", font=font)
            sheet.paste(picture, (left, top + LINE))
        top += first.height + LINE + GAP
    return sheet


def sides(size: tuple[int, int]) -> str:
    """Return a size `(width, height)` as text, height first."""
    return f"{size[1]} x {size[0]}"

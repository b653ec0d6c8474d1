"""`regionloss generate`: images of a caption."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from insighttok_ref.cli.reconstruct import chosen
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from insighttok_ref.generator.checkpoints import LoadedGenerator
    from insighttok_ref.generator.decoders import DrawnIds
    from insighttok_ref.generator.sampling import Sampling
    from regionloss.evaluation.generation import Prompt

#: The paper's.
TOP_K = 4096
GAP = 8


def generate(
    prompt: Annotated[str | None, typer.Argument(help="Caption of the images.", show_default=False)] = None,
    *,
    checkpoint: Annotated[Path, typer.Option(help="Folder of a generator, or the file of its model.")],
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="In place of a caption: crowd, or quotes=FILE, geneval=FILE, dpg=FOLDER, longtext=FILE. In --save the "
            "images lie where the program of that benchmark looks for them.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images of a caption, drawn together.")] = 4,
    cfg: Annotated[float, typer.Option("--cfg", help="Weight of the caption (guidance); 1 for none.")] = 5.0,
    top_k: Annotated[
        int | None,
        typer.Option(help=f"How many codes a token is drawn from; {TOP_K}, or all if fewer.", show_default=False),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Divides the logits; 0 takes the likeliest code.")] = 1.0,
    decoder: Annotated[
        Literal["plain", "jacobi", "coupled", "grouped"],
        typer.Option(help="jacobi and coupled draw as plain does, in fewer forwards; grouped is lossy."),
    ] = "coupled",
    window: Annotated[int, typer.Option(help="Drafts that are looked at in one forward.")] = 16,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the step first: a minute or more, then each image is faster.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the first image; the next has the next.")] = 0,
    out: Annotated[Path, typer.Option(help="Picture to write: the images side by side.")] = Path("generated.png"),
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the images, each by the number of its seed.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="File of the images' tokenizer, if not in the folder.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU if there is one.", show_default=False)
    ] = None,
) -> None:
    """Draw images of a caption with a generator."""
    needs_transformers()
    from insighttok_ref.generator.checkpoints import read_generator
    from insighttok_ref.generator.sampling import Sampling, compiler_of
    from regionloss.console import check_suffix, counted, print_table
    from regionloss.pictures import save as save_picture

    check_suffix(out)
    asked_for = None if prompts is None else prompts_of(prompts, prompt, n, save)
    if asked_for is None and prompt is None:
        raise InputError(expected("generate", "a caption, or --prompts", "neither"))
    backend = compiler_of(chosen(device)) if compiled else None
    generator = read_generator(checkpoint, tokenizer).to(chosen(device))
    if generator.untrained:
        parts = " and ".join(part.replace("_", " ") for part in generator.untrained)
        typer.echo(
            f"{checkpoint}: its {parts} was never trained: what it draws has nothing to do with the caption.", err=True
        )
    kept = min(TOP_K, generator.model.codes) if top_k is None else top_k
    how = Sampling(cfg, temperature, kept, decoder, window, backend)
    if asked_for is not None and save is not None:
        typer.echo(draw_set(generator, asked_for, how, n, seed, save))
        return
    begun = time.monotonic()
    seeds, drawn = drawn_of(generator, prompt or "", how, n, seed)
    seconds, images = time.monotonic() - begun, pictures(generator, drawn.ids)
    for number, image in zip(seeds.tolist(), images, strict=True):
        if save is not None:
            save_picture(image, save / f"{number}.png")
    save_picture(row_of(images), out)
    asked = f"{drawn.forwards.double().mean():.1f} an image for {generator.tokens}"
    each = f"{1000 * seconds / (n * generator.tokens):.2f} ms a token"
    print_table(counted(n, "image"), ["", ""], [["forwards", asked], ["time", f"{seconds:.1f} s, {each}"]])
    typer.echo(f"Drawn in {out}." + (f" Saved in {save}." if save else ""))


def drawn_of(generator: LoadedGenerator, caption: str, how: Sampling, n: int, seed: int) -> tuple[Tensor, DrawnIds]:
    """Return the seeds of n images of a caption, and their ids."""
    from insighttok_ref.generator.sampling import sample

    told = generator.form.encode([caption]).repeated(n).to(generator.model.codebook.weight.device)
    seeds = numbered(generator, seed, n)
    return seeds, sample(generator.model, generator.form, told, generator.tokens, seeds, how)


def prompts_of(said: str, caption: str | None, n: int, save: Path | None) -> list[Prompt]:
    """Return the prompts of a set that is asked for."""
    from regionloss.evaluation.generation import prompt_set

    if caption is not None:
        raise InputError(expected("generate", "a caption or --prompts", "both"))
    if save is None:
        raise InputError(expected("--save", "a folder for the images of --prompts", "none"))
    found = prompt_set(said)
    if found[0].tiled and math.isqrt(n) ** 2 != n:
        wanted = "1, 4, 9, ..., since the images of a prompt are one square"
        raise InputError(expected("--n", wanted, str(n)))
    return found


def draw_set(generator: LoadedGenerator, prompts: list[Prompt], how: Sampling, n: int, seed: int, save: Path) -> str:
    """Draw n images of each prompt where its benchmark looks for them; those that are there already stay."""
    from regionloss.console import Progress, counted
    from regionloss.disk import whole
    from regionloss.pictures import save as save_picture

    fresh = 0
    with Progress("prompts", len(prompts)) as progress:
        for number, prompt in enumerate(prompts):
            progress.advance()
            places = list(dict.fromkeys(save / place for place in prompt.places(n)))
            if all(place.is_file() for place in places):
                continue
            fresh += 1
            images = pictures(generator, drawn_of(generator, prompt.text, how, n, seed + n * number)[1].ids)
            for place, image in zip(places, [tiled(images)] if prompt.tiled else images, strict=True):
                save_picture(image, place)
            if prompt.beside:
                with whole(save / prompt.beside) as temporary:
                    temporary.write_text(json.dumps(dict(prompt.record), ensure_ascii=False), encoding="utf-8")
    return f"{counted(fresh, 'prompt')} drawn, {len(prompts) - fresh} drawn already. Saved in {save}."


def tiled(images: list[Image.Image]) -> Image.Image:
    """Return images of one size as a square of them, row by row."""
    from PIL import Image

    side, (width, height) = math.isqrt(len(images)), images[0].size
    square = Image.new("RGB", (side * width, side * height))
    for number, image in enumerate(images):
        square.paste(image, (number % side * width, number // side * height))
    return square


def needs_transformers() -> None:
    """Raise InputError where the language model's package is missing."""
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        advice = "Install it: pip install 'regionloss[generator]'."
        raise InputError(expected("generate", "the package transformers", "none", advice))


def numbered(generator: LoadedGenerator, seed: int, n: int) -> Tensor:
    """Return the seeds of n images."""
    import torch

    if not -(2**62) <= seed < 2**62:
        raise InputError(expected("--seed", "a number of 62 bits", str(seed)))
    return torch.arange(seed, seed + n, device=generator.model.codebook.weight.device)


def pictures(generator: LoadedGenerator, ids: Tensor) -> list[Image.Image]:
    """Return the images of ids, one at a time: the tokenizer's memory is that of one."""
    from regionloss.data.images import to_image

    return [to_image(generator.draw(one[None])[0].cpu()) for one in ids]


def row_of(images: list[Image.Image]) -> Image.Image:
    """Return images side by side."""
    from PIL import Image

    width = sum(image.width + GAP for image in images) + GAP
    sheet = Image.new("RGB", (width, images[0].height + 2 * GAP), "white")
    for number, image in enumerate(images):
        sheet.paste(image, (GAP + number * (image.width + GAP), GAP))
    return sheet

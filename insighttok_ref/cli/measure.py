"""`regionloss measure`: what generated images are worth, and what benchmarks' programs have found in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from regionloss.errors import InputError, UnknownNameError, WeightsError, did_you_mean, expected

if TYPE_CHECKING:
    from regionloss.evaluation.generation import Prompt, PromptOutcome
    from regionloss.judges import Judge

READER = "text/ppocr-v6-page"
#: Why the paper's score of faces has a place and no number.
NO_MAGFACE = "not measured: no package holds MagFace's network, and no other's norm is its score"
THEIRS = "not measured here: hand the images to its program, and say --results"


class Measured(NamedTuple):
    """A line of the table: its number, or why there is none."""

    name: str
    value: float | None
    unit: str
    told: str


def measure(
    images: Annotated[
        Path | None,
        typer.Argument(help="Folder that 'generate --save' wrote for a set of prompts.", show_default=False),
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="SET", help="The set: crowd, quotes=FILE, ... as in 'generate'.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images of each prompt there are.")] = 4,
    results: Annotated[
        list[str] | None,
        typer.Option(help="What a benchmark's program wrote: geneval=FILE, dpg=FILE, longtext=FILE; repeatable."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the generator's run: its loss on images kept from training.")
    ] = None,
    judge: Annotated[
        str, typer.Option(help="Reader of whole images: 'regionloss components judge' lists them.")
    ] = READER,
    out: Annotated[Path | None, typer.Option(help="JSON file of the numbers.", show_default=False)] = None,
) -> None:
    """Measure generated images: long text, faces, benchmarks' results, the loss of held-out tokens."""
    from regionloss.console import print_table

    if (images is None) != (prompts is None):
        raise InputError(expected("measure", "a folder of images and the --prompts that they were drawn from", "one"))
    if images is None and not results and run is None:
        raise InputError(expected("measure", "images and --prompts, --results or --run", "none of them"))
    if out is not None and out.suffix != ".json":
        raise InputError(expected("--out", "a file that ends in .json", f"'{out}'"))
    rows = [] if images is None or prompts is None else of_images(images, prompts, n, judge)
    rows += [of_results(said) for said in results or ()]
    rows += [] if run is None else of_run(run)
    shown = [[row.name, "-" if row.value is None else f"{row.value:.4g}{row.unit}", row.told] for row in rows]
    print_table("measured", ["", "", ""], shown)
    if out is not None:
        from regionloss.disk import whole

        with whole(out) as temporary:
            temporary.write_text(json.dumps([row._asdict() for row in rows], indent=2), encoding="utf-8")
        typer.echo(f"Written to {out}.")


def of_images(folder: Path, said: str, n: int, judge: str) -> list[Measured]:
    """Return what is measured in the images of a set of prompts."""
    from regionloss.evaluation.generation import prompt_set

    found = prompt_set(said)
    if not folder.is_dir():
        raise InputError(expected(str(folder), "a folder of images", "none"))
    places = [(prompt, folder / place) for prompt in found for place in dict.fromkeys(prompt.places(n))]
    there = [(prompt, place) for prompt, place in places if place.is_file()]
    if not there:
        got = f"no {places[0][1].name} or any other"
        raise InputError(expected(str(folder), f"images of {said}", got, f"Draw them: generate --prompts {said}."))
    told = f"{len(there)} of {len(places)} images"
    if all(prompt.words for prompt in found):
        return [long_text(there, reader(judge), f"{told}, read by {judge}")]
    if said == "crowd":
        return [Measured("MagFace score", None, "", f"{NO_MAGFACE} ({told})")]
    return [Measured(said.partition("=")[0], None, "", f"{THEIRS} ({told})")]


def reader(name: str) -> Judge:
    """Return a judge of whole images. Raises WeightsError where it is not here."""
    from regionloss.evaluation import build_judges
    from regionloss.hooks.catalogue import catalogue

    judges, notes = build_judges({"document": name}, catalogue(), {"components": []})
    if not judges:
        raise WeightsError("\n".join(notes))
    return judges["document"]


def long_text(images: list[tuple[Prompt, Path]], judge: Judge, told: str) -> Measured:
    """Return the mean of `1 - edit distance / length` over images, of what is read and what the prompts ask for."""
    import torch

    from regionloss.data.images import read_image, to_tensor
    from regionloss.evaluation.generation import long_text_ned
    from regionloss.judges import Reading
    from regionloss.regions import Regions

    found: list[float] = []
    for prompt, place in images:
        pixels = to_tensor([read_image(str(place))])
        height, width = pixels.shape[2:]
        page = Regions.single("document", torch.tensor([[0.0, 0.0, width, height]]), (height, width))
        for read in judge.judge(pixels, page):
            if isinstance(read, Reading) and not read.problem:
                found.append(long_text_ned(read.text, prompt.words))
    unread = f"; {len(images) - len(found)} could not be read" if len(found) < len(images) else ""
    return Measured("long text, NED", 100 * sum(found) / len(found) if found else None, " %", told + unread)


def of_results(said: str) -> Measured:
    """Return what a benchmark's own program has found."""
    from regionloss.console import counted
    from regionloss.evaluation.generation import read_dpg_results, read_geneval_results, read_long_text_results

    readers = {"geneval": read_geneval_results, "dpg": read_dpg_results, "longtext": read_long_text_results}
    name, _, path = said.partition("=")
    if name not in readers:
        raise UnknownNameError(f"--results: no benchmark is named '{name}'. {did_you_mean(name, readers)}")
    if not path:
        raise InputError(expected("--results", f"{name}=FILE", f"'{said}'"))
    outcome: PromptOutcome = readers[name](Path(path))
    groups = ", ".join(f"{group} {value:.3g}" for group, value in outcome.groups.items())
    return Measured(name, outcome.score, "", counted(outcome.images, "image") + (f": {groups}" if groups else ""))


def of_run(folder: Path) -> list[Measured]:
    """Return the last loss of held-out tokens that a run has logged, and its perplexity."""
    file = folder / "metrics.jsonl"
    if not file.is_file():
        raise InputError(expected(str(folder), "the folder of a generator's run", f"no {file.name} there"))
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    measured = [line for line in lines if "test/perplexity" in line]
    if not measured:
        advice = "Say data.sources.NAME.test=100 in its recipe."
        raise InputError(expected(str(file), "a loss of images kept from training", "none", advice))
    last = measured[-1]
    told = f"after phase '{last['part']}', on images kept from training"
    return [
        Measured("token loss", last["test/loss"], " nats", told),
        Measured("perplexity", last["test/perplexity"], "", told),
    ]

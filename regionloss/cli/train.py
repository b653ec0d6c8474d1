"""`regionloss train`."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from regionloss.cli.check import tell_unchecked
from regionloss.console.options import Overrides, with_folder
from regionloss.disk import guarded
from regionloss.errors import InputError, expected
from regionloss.recipe.build import build_trainer
from regionloss.recipe.load import Loaded, load_begun, load_recipe
from regionloss.recipe.locate import find_recipe
from regionloss.recipe.run import TrainingRun, begin, carry_out
from regionloss.recipe.schema import Recipe
from regionloss.runs.folders import AUTO, check_folders, folder_to_resume, free_folder
from regionloss.runs.launch import read_launch
from regionloss.runs.rendezvous import Meeting


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE]", help="A file, or the name of a shipped recipe.", show_default=False),
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to; runs/NAME by default (runs/NAME-2 where that has a run), or the folder resumed."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|auto",
            help="Folder of an earlier run to go on from, with the recipe that it has where none is named; "
            "auto: the run's own folder, where it has begun.",
        ),
    ] = None,
) -> None:
    """Run a recipe's trainer."""
    overrides, out = with_folder(overrides, out)
    launch = read_launch()
    if launch.note:
        typer.echo(launch.note, err=True)

    def prepare() -> tuple[Any, TrainingRun]:
        own = Path("runs") / find_recipe(recipe).stem if resume == AUTO and recipe and not out else out
        earlier = folder_to_resume(resume, own)
        check_folders(own, earlier)
        loaded = load(recipe, overrides, earlier)
        tell_unchecked(loaded.unchecked, err=True)
        folder = own or earlier or free_folder(loaded.path.stem)
        held.enter_context(guarded(folder, "training"))
        return begin(loaded, folder, earlier)

    def follow(folders: str) -> tuple[Any, TrainingRun]:
        folder, earlier = json.loads(folders)
        begun = Path(earlier) if earlier else None
        loaded = load(recipe, overrides, begun)
        return build_trainer(loaded), TrainingRun(loaded, Path(folder), begun)

    def folders_of(begun: tuple[Any, TrainingRun]) -> str:
        run = begun[1]
        return json.dumps([str(run.out), str(run.resume or "")])

    shown = bool(context.find_root().params.get("traceback"))
    with Meeting(launch, traceback=shown) as meeting, ExitStack() as held:
        # Two processes that each looked for a free folder would find two, or the same one twice.
        trainer, run = meeting.first_decides(prepare, folders_of, follow)
        carry_out(trainer, run)


def load(recipe: str | None, overrides: list[str], resume: Path | None) -> Loaded[Recipe]:
    """Load the recipe that was named, or else the one of the run to go on from."""
    if resume is None or (recipe is not None and ("=" not in recipe or os.path.isfile(recipe))):
        if recipe is None:
            advice = "Name one; 'regionloss train --help' says more."
            raise InputError(expected("RECIPE", "a file, or the name of a shipped recipe", "nothing", advice))
        return load_recipe(recipe, overrides)
    return load_begun(resume, [recipe, *overrides] if recipe is not None else overrides)

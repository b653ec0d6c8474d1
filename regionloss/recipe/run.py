"""What a trainer receives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from regionloss.disk import guarded, whole, written
from regionloss.errors import RegionLossError
from regionloss.recipe.build import build_terms, build_trainer
from regionloss.recipe.load import Loaded
from regionloss.recipe.resolved import resolved
from regionloss.recipe.schema import Recipe

if TYPE_CHECKING:
    from regionloss.losses.terms import LossTerms


@dataclass(frozen=True)
class TrainingRun:
    """One run of a trainer: `Trainer(**options).run(run)`.

    Args:
        loaded: The recipe, checked, with its file and its plugins.
        out: Folder to write to; it is there.
        resume: Folder of an earlier run to go on from, or None.
    """

    loaded: Loaded[Recipe]
    out: Path
    resume: Path | None = None

    @property
    def recipe(self) -> Recipe:
        """The validated recipe."""
        return self.loaded.recipe

    @property
    def resolved(self) -> Mapping[str, Any]:
        """The recipe with versions, plugins, weights and licences, plain data, to write beside checkpoints."""
        return resolved(self.loaded)

    def today(self, recipe: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what an earlier version resolved, with the defaults of options that are new since.

        Args:
            recipe: What `resolved["recipe"]` was when the run was begun. One that is no recipe today comes back as it
                is.
        """
        try:
            loaded = replace(self.loaded, recipe=Recipe.model_validate_json(json.dumps(recipe)))
        except ValidationError:
            return recipe
        with suppress(RegionLossError):
            recipe = resolved(loaded)["recipe"]
        return recipe

    def build_terms(self, *, value_range: tuple[float, float] = (-1.0, 1.0), auto: float | None = None) -> LossTerms:
        """Build the recipe's terms anew; `auto` is the weight of those whose weight the trainer still has to find."""
        return build_terms(self.loaded, value_range=value_range, auto=auto)


def train(loaded: Loaded[Recipe], out: Path, resume: Path | None = None) -> None:
    """Run a recipe's trainer, after writing the resolved recipe to `out/resolved.yaml`.

    Args:
        loaded: A recipe that `load_recipe` returned.
        out: Folder to write to; made where it is absent.
        resume: Folder of an earlier run to go on from.

    Raises:
        InputError: Another training is at work in the folder.
    """
    with guarded(out, "training"):
        carry_out(*begin(loaded, out, resume))


def carry_out(trainer: Any, run: TrainingRun) -> None:
    """Let a trainer run; one that fails before it wrote anything leaves its folder's name to the next try."""
    try:
        with run.loaded.catalogue.in_use():
            trainer.run(run)
    except RegionLossError:
        with suppress(FileNotFoundError):  # of several processes that fail together, the first removes it
            if written(run.out) == {"resolved.yaml"}:
                shutil.rmtree(run.out)
        raise


def begin(loaded: Loaded[Recipe], out: Path, resume: Path | None = None) -> tuple[Any, TrainingRun]:
    """Build a recipe's trainer and prepare its folder; of several processes the first alone does the latter.

    Where a run goes on, `resolved.yaml` goes on saying what it was begun with, and another one what is different now.
    """
    trainer, run = build_trainer(loaded), TrainingRun(loaded, out, resume)
    text = dump(run.resolved)
    out.mkdir(parents=True, exist_ok=True)
    known = {path.read_text(encoding="utf-8") for path in out.glob("resolved*.yaml")}
    if text not in known:
        name = f"resolved.{len(known)}.yaml" if known else "resolved.yaml"
        with whole(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return trainer, run


def dump(data: Mapping[str, Any]) -> str:
    """Return YAML that the reader of recipes reads back as it was."""
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=100)

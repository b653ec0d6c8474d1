"""Recipes: YAML that says what to train, checked to the last key before anything starts. Imports no torch."""

from regionloss.recipe.build import (
    build_detector,
    build_detectors,
    build_terms,
    build_trainer,
    detector_part,
    kind_of,
    load_choice,
    load_terms,
)
from regionloss.recipe.load import Loaded, load_recipe, load_terms_file
from regionloss.recipe.locate import find_recipe
from regionloss.recipe.needs import EngineNeeds, NeedsTable, PhaseNeeds, Plannable, TrainingNeeds
from regionloss.recipe.options import check_part
from regionloss.recipe.resolved import resolved
from regionloss.recipe.run import TrainingRun, train
from regionloss.recipe.schema import Recipe, TermsFile, TermWeight

__all__ = [
    "EngineNeeds",
    "Loaded",
    "NeedsTable",
    "PhaseNeeds",
    "Plannable",
    "Recipe",
    "TermWeight",
    "TermsFile",
    "TrainingNeeds",
    "TrainingRun",
    "build_detector",
    "build_detectors",
    "build_terms",
    "build_trainer",
    "check_part",
    "detector_part",
    "find_recipe",
    "kind_of",
    "load_choice",
    "load_recipe",
    "load_terms",
    "load_terms_file",
    "resolved",
    "train",
]

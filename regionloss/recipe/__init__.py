"""Recipes: YAML that says what to train, checked to the last key before anything starts. Imports no torch."""

from regionloss.recipe.build import build_detector, build_terms, build_trainer, load_terms
from regionloss.recipe.load import Loaded, load_recipe
from regionloss.recipe.locate import find_recipe
from regionloss.recipe.resolved import resolved
from regionloss.recipe.run import TrainingRun, train
from regionloss.recipe.schema import Recipe

__all__ = [
    "Loaded",
    "Recipe",
    "TrainingRun",
    "build_detector",
    "build_terms",
    "build_trainer",
    "find_recipe",
    "load_recipe",
    "load_terms",
    "resolved",
    "train",
]

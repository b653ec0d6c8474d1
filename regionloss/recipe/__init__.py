"""Recipes: YAML that says what to train, checked to the last key before anything starts. Imports no torch."""

from .build import build_detector, build_terms, build_trainer, load_terms
from .finding import find_recipe
from .load import Loaded, load_recipe
from .resolved import resolved
from .schema import Recipe
from .training import TrainingRun, train

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

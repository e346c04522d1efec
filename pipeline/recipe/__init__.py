"""Recipes: what a recommender is, in one YAML file."""

from pipeline.recipe.errors import Problem, RecipeError
from pipeline.recipe.load import load, loads
from pipeline.recipe.model import Recipe

__all__ = ["Problem", "Recipe", "RecipeError", "load", "loads"]

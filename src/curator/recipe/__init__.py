"""Recipes: what a user asks for, checked key by key."""

from curator.recipe.base import repeated
from curator.recipe.load import build_recipe, check_names, dump_recipe, load_recipe, located, resolved
from curator.recipe.models import IntegritySpec, Recipe, SearchSpec, SliceSpec, SynthesizerSpec
from curator.recipe.origin import Origin
from curator.recipe.privacy import PrivacyBounds
from curator.recipe.schema import recipe_schema
from curator.recipe.task import EstimatorSpec, TaskSpec
from curator.recipe.vocabulary import AnyName, Vocabulary

__all__ = [
    "AnyName",
    "EstimatorSpec",
    "IntegritySpec",
    "Origin",
    "PrivacyBounds",
    "Recipe",
    "SearchSpec",
    "SliceSpec",
    "SynthesizerSpec",
    "TaskSpec",
    "Vocabulary",
    "build_recipe",
    "check_names",
    "dump_recipe",
    "load_recipe",
    "located",
    "recipe_schema",
    "repeated",
    "resolved",
]

"""Weights made elsewhere: their names, their files, their translation to our layout, and the match with our network."""

from butterflyer_jax.models.weights.files import SUFFIXES, read
from butterflyer_jax.models.weights.match import Row, check, match, summary, table
from butterflyer_jax.models.weights.translate import Tensor, Weights

__all__ = ["SUFFIXES", "Row", "Tensor", "Weights", "check", "match", "read", "summary", "table"]

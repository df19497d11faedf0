"""A small world whose every fact is known, the language spoken about it, and a transformer trained on it."""

from smallworld.families import FAMILIES
from smallworld.language import sample
from smallworld.truth import Counterfactual, Sentence, token_mask

__all__ = ["FAMILIES", "Counterfactual", "Sentence", "sample", "token_mask"]

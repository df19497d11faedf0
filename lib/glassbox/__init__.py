"""glassbox: methods that explain what a transformer computed, each in one readable file.

>>> import glassbox as gb
>>> model, tokenizer = gb.load("smallworld")
>>> print(gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout"))
"""

from glassbox import attention, errors
from glassbox.attribution import Attribution
from glassbox.methods import METHODS, explain
from glassbox.models import anatomy, load

__all__ = ["METHODS", "Attribution", "anatomy", "attention", "errors", "explain", "load"]

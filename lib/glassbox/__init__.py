"""glassbox: methods that explain what a transformer computed, each in one readable file.

>>> import glassbox as gb
>>> model, tokenizer = gb.load("smallworld")
>>> print(gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout"))
"""

from glassbox import attention, consistency, errors, infidelity, plausibility, rank_agreement, sparsity, statistics
from glassbox.attribution import Attribution
from glassbox.benchmark import benchmark
from glassbox.comparison import compare
from glassbox.deletion import removal_curves
from glassbox.faithfulness import faithfulness
from glassbox.methods import METHODS, explain
from glassbox.models import anatomy, load
from glassbox.sanity import sanity_check

__all__ = [
    "METHODS",
    "Attribution",
    "anatomy",
    "attention",
    "benchmark",
    "compare",
    "consistency",
    "errors",
    "explain",
    "faithfulness",
    "infidelity",
    "load",
    "plausibility",
    "rank_agreement",
    "removal_curves",
    "sanity_check",
    "sparsity",
    "statistics",
]

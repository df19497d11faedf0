"""glassbox: methods that explain what a transformer computed, each in one readable file.

>>> import glassbox as gb
>>> model, tokenizer = gb.load("smallworld")
>>> print(gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout"))
"""

from glassbox import (
    attention,
    consistency,
    errors,
    flow,
    grad_attention,
    gradients,
    infidelity,
    integrated,
    norm_based,
    paths,
    perturbation,
    plausibility,
    random_scores,
    rank_agreement,
    relevance,
    relevance_rules,
    sparsity,
    statistics,
    surrogates,
    tuned_lens,
)
from glassbox.attribution import Attribution
from glassbox.benchmark import benchmark
from glassbox.comparison import compare
from glassbox.deletion import removal_curves
from glassbox.faithfulness import faithfulness
from glassbox.lens import logit_lens
from glassbox.logit_attribution import logit_attribution
from glassbox.methods import METHODS, explain
from glassbox.models import anatomy, load
from glassbox.patchscope import patchscope
from glassbox.sanity import sanity_check
from glassbox.steering import ablate, project, steer, steering_vector

__all__ = [
    "METHODS",
    "Attribution",
    "ablate",
    "anatomy",
    "attention",
    "benchmark",
    "compare",
    "consistency",
    "errors",
    "explain",
    "faithfulness",
    "flow",
    "grad_attention",
    "gradients",
    "infidelity",
    "integrated",
    "load",
    "logit_attribution",
    "logit_lens",
    "norm_based",
    "patchscope",
    "paths",
    "perturbation",
    "plausibility",
    "project",
    "random_scores",
    "rank_agreement",
    "relevance",
    "relevance_rules",
    "removal_curves",
    "sanity_check",
    "sparsity",
    "statistics",
    "steer",
    "steering_vector",
    "surrogates",
    "tuned_lens",
]

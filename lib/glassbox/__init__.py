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
    narration,
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
    wording,
)
from glassbox.attribution import Attribution
from glassbox.benchmark import benchmark
from glassbox.comparison import compare
from glassbox.counterfactual import counterfactual
from glassbox.deletion import removal_curves
from glassbox.faithfulness import faithfulness
from glassbox.lens import logit_lens
from glassbox.logit_attribution import logit_attribution
from glassbox.methods import METHODS, explain
from glassbox.models import anatomy, load
from glassbox.patchscope import patchscope
from glassbox.report import Picture, model_card, report
from glassbox.sanity import sanity_check
from glassbox.steering import ablate, project, steer, steering_vector

__all__ = [
    "METHODS",
    "Attribution",
    "Picture",
    "ablate",
    "anatomy",
    "attention",
    "benchmark",
    "compare",
    "consistency",
    "counterfactual",
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
    "model_card",
    "narration",
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
    "report",
    "sanity_check",
    "sparsity",
    "statistics",
    "steer",
    "steering_vector",
    "surrogates",
    "tuned_lens",
    "views",
    "wording",
]


def __getattr__(name: str):
    if name == "views":  # loads when first used, since most of the library's uses show nothing
        import importlib

        return importlib.import_module("glassbox.views")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""glassbox: methods that explain what a transformer computed, each in one readable file.

>>> import glassbox as gb
>>> model, tokenizer = gb.load("smallworld")
>>> print(gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout"))
"""

from glassbox import (
    attention,
    errors,
    flow,
    grad_attention,
    gradients,
    integrated,
    norm_based,
    paths,
    perturbation,
    random_scores,
    relevance,
    relevance_rules,
    surrogates,
)
from glassbox.attribution import Attribution
from glassbox.bar import progress
from glassbox.counterfactual import counterfactual
from glassbox.judging import consistency, infidelity, plausibility, rank_agreement, sparsity, statistics
from glassbox.judging.benchmark import benchmark
from glassbox.judging.comparison import compare
from glassbox.judging.deletion import removal_curves
from glassbox.judging.faithfulness import faithfulness
from glassbox.judging.sanity import sanity_check
from glassbox.methods import METHODS, explain
from glassbox.models import anatomy, load
from glassbox.reading import tuned_lens
from glassbox.reading.lens import logit_lens
from glassbox.reading.logit_attribution import logit_attribution
from glassbox.reading.patchscope import patchscope
from glassbox.steering import ablate, project, steer, steering_vector
from glassbox.telling import narration, wording
from glassbox.telling.report import Picture, model_card, report

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
    "progress",
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

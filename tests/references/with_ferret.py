"""Comprehensiveness and sufficiency by ferret, for made-up scores: the probability without, and with only, k tokens.

ferret removes or keeps positive scores only, so all of these are.
"""

import sys
from unittest.mock import MagicMock

import numpy as np

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
RUNS = [("bert-classifier",)]
SIZES = (1, 3, 5)


def scores(subject: str) -> np.ndarray:
    return subjects.generator(f"scores of {subject}").uniform(0.1, 1, subjects.ids(subject).shape[1])


def record(subject: str) -> dict[str, np.ndarray]:
    model, tokenizer, text = subjects.build(subject), subjects.tokenizer(subject), subjects.text(subject)
    # What ferret's data sets and figures are made with; they are imported, and not used here.
    sys.modules.update({name: MagicMock() for name in ("cv2", "datasets", "pytreebank", "seaborn", "thermostat")})
    from ferret.evaluators import faithfulness_measures as measures
    from ferret.explainers.explanation import Explanation

    target = subjects.target(subject)
    explanation = Explanation(text, tokenizer.tokenize(text), scores(subject), "made up", target)
    found = {"ids": subjects.ids(subject)}
    for name, measure in {
        "comprehensiveness": measures.AOPC_Comprehensiveness_Evaluation(model, tokenizer),
        "sufficiency": measures.AOPC_Sufficiency_Evaluation(model, tokenizer),
    }.items():
        found[name] = np.array([float(_of(measure, explanation, target, size)) for size in SIZES])
    return {f"{subject}/{name}": array for name, array in found.items()}


def _of(measure, explanation, target: int, size: int) -> float:
    removal = {"remove_tokens": True, "based_on": "k", "thresholds": [size]}
    options = dict(remove_first_last=False, removal_args=removal)
    return measure.compute_evaluation(explanation, target, **options).score

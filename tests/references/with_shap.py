"""Shapley values by shap's KernelExplainer, all coalitions of the tokens; a missing token is replaced by token 0."""

import numpy as np
import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
RUNS = [(subject,) for subject in ("gpt2", "llama", "bert", "bert-classifier")]


def record(subject: str) -> dict[str, np.ndarray]:
    import shap

    model, ids = subjects.build(subject), subjects.ids(subject)

    def values(kept: np.ndarray) -> np.ndarray:
        texts = torch.where(torch.from_numpy(kept).bool(), ids, 0)
        with torch.no_grad():
            logits = model(input_ids=texts, attention_mask=torch.ones_like(texts)).logits
        if not subject.endswith("classifier"):
            logits = logits[:, subjects.POSITION]
        return logits[:, subjects.target(subject)].numpy()

    everyone = np.ones((1, ids.shape[1]))
    explainer = shap.KernelExplainer(values, np.zeros_like(everyone))
    scores = explainer.shap_values(everyone, nsamples=2 ** ids.shape[1], l1_reg=False, silent=True)[0]
    return {f"{subject}/ids": ids, f"{subject}/scores": scores}

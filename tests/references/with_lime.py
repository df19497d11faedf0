"""LIME by lime's text explainer: the texts that it drew, the model's answers to them, and the scores it fitted."""

import numpy as np
import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
RUNS = [(subject,) for subject in ("gpt2", "bert")]


def record(subject: str) -> dict[str, np.ndarray]:
    from lime.lime_text import LimeTextExplainer

    model, tokenizer, text = subjects.build(subject), subjects.tokenizer(subject), subjects.text(subject)
    explainer = LimeTextExplainer(feature_selection="none", split_expression=r"\s+", random_state=0)
    asked = {}

    def answers(texts: list[str]) -> np.ndarray:
        values = []
        for each in texts:
            ids = tokenizer(f"{subjects.word(0)} {each}", return_tensors="pt")["input_ids"]  # one token always stays
            with torch.no_grad():
                values.append(float(model(input_ids=ids).logits[0, subjects.POSITION, subjects.target(subject)]))
        return np.stack([-np.array(values), values], axis=1)  # lime explains classes: here the second

    fit = explainer.base.explain_instance_with_data

    def keep(kept: np.ndarray, labels: np.ndarray, distances: np.ndarray, *more, **named) -> tuple:
        asked.update(kept=kept, values=labels[:, 1])
        return fit(kept, labels, distances, *more, **named)

    explainer.base.explain_instance_with_data = keep
    found = explainer.explain_instance(text, answers, num_features=12, num_samples=300)
    scores = [score for _, score in sorted(found.local_exp[1])]
    arrays = {"ids": subjects.ids(subject), "kept": asked["kept"].astype(bool), "values": asked["values"]}
    return {f"{subject}/{name}": array for name, array in {**arrays, "scores": np.array(scores)}.items()}

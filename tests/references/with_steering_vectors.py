"""Steering vectors by steering-vectors: mean difference and PCA at each layer, and the logits of a steered model."""

import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
RUNS = [(subject,) for subject in ("gpt2", "llama", "qwen3", "smallworld")]
LAYER, STRENGTH = 1, 1.5


def pairs(subject: str) -> list[tuple[str, str]]:
    """Texts of equal length that differ in a few words."""
    if subject == "smallworld":
        texts = [f"{who} feels {{}} because {who}" for who in ("Emma", "Paul", "Sara", "Omar")]
        return [(each.format("happy"), each.format("sad")) for each in texts]
    draw = subjects.generator(f"pairs of {subject}")
    return [tuple(" ".join(map(subjects.word, draw.integers(1, 120, 6))) for _ in range(2)) for _ in range(5)]


def record(subject: str) -> dict[str, torch.Tensor]:
    from steering_vectors import mean_aggregator, pca_aggregator, train_steering_vector

    model, tokenizer, ids = subjects.build(subject), subjects.tokenizer(subject), subjects.ids(subject)
    found = {f"{subject}/ids": ids}
    for how, aggregator in ("mean", mean_aggregator()), ("pca", pca_aggregator()):
        vector = train_steering_vector(model, tokenizer, pairs(subject), aggregator=aggregator)
        found[f"{subject}/{how}"] = torch.stack(list(vector.layer_activations.values()))  # (layer, width)
    alone = vector.layer_activations[LAYER]
    vector.layer_activations = {LAYER: alone}
    with torch.no_grad(), vector.apply(model, multiplier=STRENGTH):
        found[f"{subject}/steered"] = model(ids).logits[0, -1]
    return found

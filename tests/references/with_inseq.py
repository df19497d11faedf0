"""Gradients, path methods and occlusion by inseq, for the logit of the next word, before inseq sums them up.

It records (seq, width), or (seq,) for occlusion, in float32. Its baseline is the unknown token everywhere.
"""

import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
STEPS = 30
METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": dict(n_steps=STEPS),
    "sequential_integrated_gradients": dict(n_steps=STEPS),
    "occlusion": {},
}
RUNS = [(subject, method) for subject in ("gpt2", "llama") for method in METHODS]


def record(subject: str, method: str) -> dict[str, torch.Tensor]:
    import inseq

    text, target = subjects.text(subject), subjects.word(subjects.target(subject))
    asked = inseq.load_model(subjects.build(subject), method, tokenizer=subjects.tokenizer(subject))
    options = dict(attributed_fn="logit", show_progress=False, **METHODS[method])
    [found] = asked.attribute(text, f"{text} {target}", **options).sequence_attributions
    return {
        f"{subject}/ids": subjects.ids(subject),
        f"{subject}/{method}": found.target_attributions[:-1, 0],  # the last token is the target itself
    }

"""The logit lens and the tuned lens by tuned-lens, at the last token: logits (layer, vocabulary).

The translators are drawn here and recorded nowhere: `translators` draws the same again.
"""

import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", False
RUNS = [(subject,) for subject in ("gpt2", "llama", "gpt_neox", "smallworld")]


def translators(subject: str, layers: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A (layer, width, width) and b (layer, width) of a tuned lens, float32 numbers."""
    draw = subjects.generator(f"tuned lens of {subject}")
    maps, shifts = draw.standard_normal((layers, width, width)), draw.standard_normal((layers, width))
    return torch.from_numpy(0.1 * maps / width**0.5).float(), torch.from_numpy(0.1 * shifts).float()


def record(subject: str) -> dict[str, torch.Tensor]:
    from tuned_lens.nn.lenses import LogitLens, TunedLens

    model, ids = subjects.build(subject), subjects.ids(subject)
    with torch.no_grad():
        hidden = model(ids, output_hidden_states=True).hidden_states[:-1]  # the last has passed the final norm
        plain, tuned = LogitLens.from_model(model), TunedLens.from_model(model)
        maps, shifts = translators(subject, len(hidden), model.config.hidden_size)
        for layer, translator in enumerate(tuned):
            translator.weight.copy_(maps[layer])
            translator.bias.copy_(shifts[layer])
        return {
            f"{subject}/ids": ids,
            f"{subject}/logit_lens": torch.stack([plain(h, layer)[0, -1] for layer, h in enumerate(hidden)]).float(),
            f"{subject}/tuned_lens": torch.stack([tuned(h, layer)[0, -1] for layer, h in enumerate(hidden)]).float(),
        }

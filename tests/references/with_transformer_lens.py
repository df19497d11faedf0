"""The logit lens and direct logit attribution by TransformerLens' bridge, at the last token.

Shares are of the difference of two logits, which TransformerLens' centring of the unembedding leaves as it was.
"""

import torch

from . import subjects

ENVIRONMENT, ALONE = "transformers_5", False
RUNS = [(subject,) for subject in ("gpt2", "llama", "qwen2", "qwen3", "gpt_neox", "smallworld")]
FOIL = 5


def record(subject: str) -> dict[str, torch.Tensor]:
    from transformer_lens.model_bridge.sources import boot

    model, ids = subjects.build(subject), subjects.ids(subject)
    bridge = boot(subject, hf_model=model, tokenizer=subjects.tokenizer(subject), dtype=torch.float64)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids)
        readings = cache.logit_lens(positions=[-1], return_type="logits")
        # Folding would move what heads write by their value bias to the layer's bias.
        bridge.enable_compatibility_mode(disable_warnings=True, fold_value_biases=False)
        _, cache = bridge.run_with_cache(ids)

        def shares(stack: torch.Tensor) -> torch.Tensor:
            return cache.logit_attrs(stack, subjects.target(subject), FOIL, pos_slice=-1)[:, 0]

        heads = shares(cache.stack_head_results(pos_slice=-1))
        mlps = shares(cache.decompose_resid(mode="mlp", incl_embeds=False, pos_slice=-1))
    lens = readings.values[:, 0, 0].float()
    return {f"{subject}/ids": ids, f"{subject}/logit_lens": lens, f"{subject}/heads": heads, f"{subject}/mlps": mlps}

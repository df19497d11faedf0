"""Tiny random models of every architecture that `glassbox.models` knows, and the names they go by in the tests.

Grouped queries (2 keys and values for 4 heads) where the architecture has them, tied and untied embeddings, biases as
the architecture has them and drawn away from zero, Gemma's soft caps, and a sliding window shorter than a test's text.
Attention weights and logits are well spread, as those of a freshly initialised model hardly are.
"""

from copy import deepcopy

import torch
import transformers as hf

_SIZES = {"vocab_size": 300, "num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 32}
_NAMES = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_LLAMA = {**_SIZES, **_NAMES, "num_key_value_heads": 2, "intermediate_size": 40, "max_position_embeddings": 24}
_SLIDING = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 4}
_GEMMA = {**_LLAMA, **_SLIDING, "head_dim": 8, "query_pre_attn_scalar": 8}
_GPT2 = {**_SIZES, "n_positions": 24, "bos_token_id": 0, "eos_token_id": 0}
_BERT = {**_SIZES, "pad_token_id": 0, "intermediate_size": 40, "max_position_embeddings": 24}
_OPT = {**_SIZES, **_NAMES, "ffn_dim": 40, "max_position_embeddings": 24}
_ROBERTA = {**_BERT, **_NAMES, "max_position_embeddings": 25}  # its positions count from after the padding token's
_DISTILBERT = {"vocab_size": 300, "n_layers": 3, "n_heads": 4, "dim": 32, "hidden_dim": 40, "pad_token_id": 0}
_LABELS = {"id2label": {0: "bad", 1: "fair", 2: "good"}, "label2id": {"bad": 0, "fair": 1, "good": 2}}

_DECODERS = {
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config(**_GPT2)),
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig(**_LLAMA)),
    "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config(**_LLAMA, tie_word_embeddings=True)),
    "qwen3": (hf.Qwen3ForCausalLM, hf.Qwen3Config(**_LLAMA, head_dim=16, tie_word_embeddings=True)),
    "mistral": (hf.MistralForCausalLM, hf.MistralConfig(**_LLAMA, sliding_window=None)),
    "gemma2": (
        hf.Gemma2ForCausalLM,
        hf.Gemma2Config(**_GEMMA, attn_logit_softcapping=3.0, final_logit_softcapping=4.0),
    ),
    "gemma3": (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(**_GEMMA)),
    "phi3": (hf.Phi3ForCausalLM, hf.Phi3Config(**_LLAMA, original_max_position_embeddings=24)),
    "gpt_neox": (
        hf.GPTNeoXForCausalLM,
        hf.GPTNeoXConfig(**_SIZES, intermediate_size=40, max_position_embeddings=24, bos_token_id=0, eos_token_id=0),
    ),
    "opt": (hf.OPTForCausalLM, hf.OPTConfig(**_OPT, word_embed_proj_dim=32)),
}
_ENCODERS = {
    "bert": (hf.BertForMaskedLM, hf.BertConfig(**_BERT)),
    "distilbert": (hf.DistilBertForMaskedLM, hf.DistilBertConfig(**_DISTILBERT, max_position_embeddings=24)),
    "roberta": (hf.RobertaForMaskedLM, hf.RobertaConfig(**_ROBERTA)),
}
_CLASSIFIERS = {
    "gpt2-classifier": (hf.GPT2ForSequenceClassification, hf.GPT2Config(**_GPT2, **_LABELS, pad_token_id=0)),
    "bert-classifier": (hf.BertForSequenceClassification, hf.BertConfig(**_BERT, **_LABELS)),
    "distilbert-classifier": (
        hf.DistilBertForSequenceClassification,
        hf.DistilBertConfig(**_DISTILBERT, **_LABELS, max_position_embeddings=24),
    ),
    "roberta-classifier": (hf.RobertaForSequenceClassification, hf.RobertaConfig(**_ROBERTA, **_LABELS)),
}
_ODD = {  # known, but each lacks something that the others have, so no list of architectures names them
    "bare bert": (hf.BertModel, hf.BertConfig(**_BERT)),
    "opt-350m": (hf.OPTForCausalLM, hf.OPTConfig(**_OPT, word_embed_proj_dim=24, do_layer_norm_before=False)),
}
_ALL = _DECODERS | _ENCODERS | _CLASSIFIERS | _ODD

DECODERS, ENCODERS, CLASSIFIERS = list(_DECODERS), list(_ENCODERS), list(_CLASSIFIERS)
ARCHITECTURES = DECODERS + ENCODERS + CLASSIFIERS


def build(
    name: str, attn_implementation: str = "eager", seed: int = 0, dtype: torch.dtype = torch.float32
) -> hf.PreTrainedModel:
    """A new random model in evaluation mode. Its random numbers are float32's, so float64 is the same model."""
    kind, config = _ALL[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # A model writes its precision and its attention into its configuration.
        model = kind._from_config(deepcopy(config), attn_implementation=attn_implementation)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0, 0.25)
                else:
                    parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.to(dtype).eval()

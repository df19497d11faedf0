"""Reading f from many variants of one text, without computing again what they share.

A causal model computes a token's keys and values from that token and those before it. So all variants of a text have
them in common up to the first token that was changed: they are computed once and kept, as when a model writes a text,
and each variant is run from there on. Its logits are computed where they are read, and nowhere else.

This is exact, and it holds for causal models alone. An encoder's tokens all see the change, and a function that
stands in for the target may look at any token, so then every variant is run as a whole.
"""

from __future__ import annotations

import inspect
from copy import copy
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from glassbox.question import Question

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

MEMORY = 2**29  # bytes that a batch may take by default
# Tokens that a batch may compute in vain before one more run is cheaper; graphics cards take thousands at a time.
WASTE = {"cpu": 64}


class Reader:
    """Reads f from texts of one length, and keeps what the variants of one text need not compute again."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.position = question.position  # f is read here, or at the last token before that is left
        self.seen = question.ids.shape[1]  # no token after so many can change f
        self.cached = 0  # the tokens whose keys and values are known
        self.one_by_one = False
        self.waste = WASTE.get(question.ids.device.type, 4096)
        self._past = None
        self._last = {}  # asks for the last position's logits alone
        if callable(question.target):  # a function may look at any part of the output, and has no position
            self.position = self.seen - 1
            return
        model = question.model
        accepted = inspect.signature(model.forward).parameters
        ids = question.ids[:, :1]  # one token shows what an encoder's head predicts
        if {part.is_causal for part in model.modules() if hasattr(part, "is_causal")} == {True}:
            self.seen = question.position + 1
            ids = question.ids[:, : self.seen]
            self._last = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
            self._past = DynamicCache() if "past_key_values" in accepted else None
        output = self._run(ids, torch.ones_like(ids), self._past)
        if self._past is not None and all(type(layer) is DynamicLayer for layer in self._past.layers):
            self.cached = min((layer.get_seq_length() for layer in self._past.layers), default=0)
        if question.about_classes(output):
            self.position, self.seen = question.ids.shape[1] - 1, question.ids.shape[1]
            # The head of a causal model looks for the last token that is no padding, or takes one text at a time.
            self.one_by_one = model.config.pad_token_id is None
            self.cached = self.cached if self.one_by_one else 0

    def values(self, ids: torch.Tensor, mask: torch.Tensor, shared: int, read: int) -> torch.Tensor:
        """f of each text, (variant,), read at `read`. ids, mask: (variant, length); the first `shared` are cached."""
        past = None
        if shared:
            past = DynamicCache()
            for layer in self._past.layers:
                own = copy(layer)  # a run adds to its keys and values, and leaves those that it was given
                own.keys = layer.keys[:, :, :shared].expand(len(ids), -1, -1, -1)  # (variant, head, shared, width)
                own.values = layer.values[:, :, :shared].expand(len(ids), -1, -1, -1)
                past.layers.append(own)
        output = self._run(ids[:, shared:], mask, past)
        return self.question.values(output, -1 if self._last else read - shared)

    def batch_size(self, length: int) -> int:
        """How many texts of this length may take MEMORY bytes, of activations, attention, cache and logits together."""
        model, config = self.question.model, self.question.model.config.get_text_config()
        embedding = model.get_input_embeddings().weight
        vocabulary, width = embedding.shape
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        logits = 0 if self._last or model.get_output_embeddings() is None else 2 * vocabulary
        numbers = length * (24 * width + 4 * heads * length + 2 * layers * width + logits)
        return 1 + MEMORY // (1 + numbers * embedding.element_size())

    def _run(self, ids: torch.Tensor, mask: torch.Tensor, past: DynamicCache | None) -> ModelOutput:
        inputs = dict(self._last) if past is None else self._last | {"past_key_values": past}
        if self.question.model.config.model_type == "opt":  # left alone, it counts only positions that the mask keeps
            inputs["position_ids"] = torch.arange(mask.shape[1] - ids.shape[1], mask.shape[1], device=ids.device)[None]
        return self.question.model(input_ids=ids, attention_mask=mask, use_cache=past is not None, **inputs)

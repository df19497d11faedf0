"""Attention computed by a function of ours, on every architecture: to see its values, or to change how it is computed.

Each attention module of transformers makes queries, keys and values, turns them by their positions (RoPE), and hands
them to a function that it looks up by a name in its configuration. For the time of a `with` block that name leads to
ours, for instance to the plain form of attention:

    S = q kᵀ · scaling,     A = softmax(S + mask),     O = A v.        (Vaswani et al. 2017, equation 1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_names = (f"glassbox-{number}" for number in count())  # one for each use, so that uses may be nested


@contextmanager
def attention_by(model: PreTrainedModel, function: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Iterator[None]:
    """The model's attention is computed by `function` inside, whichever implementation it was loaded with.

    function(module, query, key, value, attention_mask, scaling=..., dropout=..., **more) is called once in each layer,
    with the arguments of `plain_attention`, and returns the same two tensors. Afterwards the model and transformers are
    as before.
    """
    # Here, not above: the interfaces bring scipy along.
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    name, before = next(_names), model.config._attn_implementation
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, eager_mask)
    try:
        model.config._attn_implementation = name
        yield
    finally:
        model.config._attn_implementation = before
        del AttentionInterface._global_mapping[name], AttentionMaskInterface._global_mapping[name]


def plain_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What eager attention computes, in evaluation mode: (batch, seq, head, dim) and the weights A.

    query:           (batch, head, seq, dim); key and value may have fewer heads, each shared by a group of queries.
    attention_mask:  added to the scores: 0 where a query may look, the lowest number where it may not.
    softcap:         Gemma 2 bends its scores so that they stay between -softcap and softcap.
    """
    key, value = for_each_query(key, query), for_each_query(value, query)  # (batch, head, seq, dim)
    scores = query @ key.mT * scaling  # (batch, head, query, key)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1)
    return (weights @ value).transpose(1, 2), weights


def for_each_query(shared: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Keys or values (batch, group, seq, dim), repeated so that each of the query's heads has its own."""
    return shared.repeat_interleave(query.shape[1] // shared.shape[1], dim=1)  # (batch, head, seq, dim)

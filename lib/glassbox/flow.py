"""Attention flow: how much of each input token fits through the layers at once?

Take each layer's Â of rollout as pipes: from token i above to token j below leads one as wide as Â_l[i, j]. The score
of an input token is the maximum flow to it from the token that is explained, at the top, divided by the sum of all:

    score_j = maxflow((L, position) → (0, j)) / Σ_k maxflow((L, position) → (0, k))

Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3. Rollout multiplies along each path
and adds paths up; the flow on a path is limited by its narrowest pipe, however long it is, and paths share pipes.

What it can't tell you: all that rollout can't, see `glassbox.attention`. Each token is a problem of its own, with all
pipes empty at its start, so what goes to one is not taken from another, and scores are flatter than rollout's.

What it costs: one maximum flow for each token, far more than the model itself. With six layers, about a tenth of a
second for 64 tokens, half a second for 128, and three seconds for 256.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from glassbox.attention import layer_step, layer_steps, read_by_the_head, run_by_layers
from glassbox.attribution import Attribution
from glassbox.errors import checked_index
from glassbox.methods import method
from glassbox.question import Question
from glassbox.trace import undisturbed


def attention_flow(
    attentions: Iterable[torch.Tensor], position: int = -1, residual_weight: float = 0.5, fuse: str = "mean"
) -> torch.Tensor:
    """How much of each input token fits through the layers into the token at `position`, as a share of the whole?

    attentions, residual_weight, fuse, and the errors raised: as for `glassbox.attention.rollout`.
    Returns (batch, seq), rows sum to one.
    """
    steps = torch.stack(list(layer_steps(attentions, residual_weight, fuse)), dim=1)  # (batch, layer, query, key)
    flows = torch.stack([maximum_flow(text, position) for text in steps])  # (batch, seq)
    return flows / flows.sum(dim=-1, keepdim=True)


def maximum_flow(steps: Sequence[torch.Tensor], position: int) -> torch.Tensor:
    """The maximum flow from token `position` at the top to each token at the bottom; (seq,), float64, exact to 1e-6.

    steps: per layer Â (query, key), first layer first: entry [i, j] is the width between token i above and j below.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow as solve

    units = (torch.stack([*steps]).double() * _UNITS).round().to("cpu", torch.int32)  # (layer, query, key)
    layers, seq, _ = units.shape
    layer, query, key = units.nonzero(as_tuple=True)  # one entry for each pipe
    ends = ((layer + 1) * seq + query, layer * seq + key)  # node = layer · seq + token, the inputs being layer 0
    nodes = (layers + 1) * seq
    graph = csr_array((units[layer, query, key].numpy(), [end.numpy() for end in ends]), shape=(nodes, nodes))
    top = layers * seq + checked_index("position", position, seq)
    return torch.tensor([solve(graph, top, token).flow_value for token in range(seq)], dtype=torch.float64) / _UNITS


_UNITS = 2**30  # scipy's solver counts in whole numbers of 32 bits, so a width of 1 is this many


@method("attention_flow")
def explain_by_attention_flow(question: Question, *, residual_weight: float = 0.5, fuse: str = "mean") -> Attribution:
    """How much of each input token fits through the layers into the token at `position`, as a share of the whole?

    Blind to the target: whichever word is explained, the scores are the same. The options are those of rollout.
    It takes time, see the top of `glassbox.flow`.
    """
    steps = []  # per layer (1, query, key)

    def add(weights: torch.Tensor) -> None:
        steps.append(layer_step(weights, len(steps), steps[-1] if steps else None, residual_weight, fuse))

    with undisturbed(question.model), torch.no_grad():
        output, causal = run_by_layers(question, add)
    flows = maximum_flow([step[0] for step in steps], read_by_the_head(question, output, causal).position)  # (seq,)
    return question.answer("attention_flow", flows / flows.sum(), output)

"""Attention methods: where does the model look, and where does information flow across its layers?

Raw attention is what the heads of one layer give to each token. Rollout follows it through all layers: what a token
holds at the top came by every path of attention and residual connections, so the layers' matrices are multiplied.

    Â_l = row-normalised (w · fuse_h A_l + (1 - w) · I),     R = Â_L ⋯ Â_1,     w = 1 - residual_weight

A_l holds the attention weights (head, query, key) of layer l; row i of R says how much of each input token has flowed
into token i at the top. Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3, with w = 1/2.

What neither can tell you: which output it was for. The weights are the same whichever word is explained. They
ignore what the values carry, the MLPs, and that a head may write against the prediction. And much of rollout is
geometry: even uniform causal attention favours the first tokens, so read it beside that baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError, ModelError, checked_index
from glassbox.methods import method
from glassbox.models import ROWS, anatomy
from glassbox.question import Question
from glassbox.trace import undisturbed
from glassbox.weights import NO_WEIGHTS, allowed_entries, checked_weights, is_causal

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

FUSIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda weights: weights.mean(dim=1),
    "max": lambda weights: weights.amax(dim=1),
    "min": lambda weights: weights.amin(dim=1),
}


def raw_attention(attentions: Iterable[torch.Tensor], layer: int = -1) -> torch.Tensor:
    """How much does each token look at each other, on average over the heads of one layer?

    attentions: per layer (batch, head, query, key). Returns (batch, query, key), rows sum to one.
    Raises InputError for a layer that does not exist, or weights that are none.
    """
    attentions = list(attentions)
    number = checked_index("layer", layer, len(attentions))
    return checked_weights(attentions[number], number).mean(dim=1)


def rollout(
    attentions: Iterable[torch.Tensor],
    residual_weight: float = 0.5,
    fuse: str = "mean",
    discard_ratio: float = 0.0,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """How much of each input token has flowed into each token at the top?

    attentions:       per layer (batch, head, query, key), first layer first; rows sum to one.
    residual_weight:  the share that a token keeps of itself in each layer, 0 to 1.
    fuse:             how a layer's heads become one: "mean", "max" or "min".
    discard_ratio:    the share of each layer's fused weights to drop before the residual is added, at least 0, below 1:
                      the smallest of the entries that the mask allows, and of equal ones the earliest.
    attention_mask:   (batch, seq), 1 for tokens and 0 for padding, as a tokenizer gives it.

    Returns (batch, query, key) in float32 (float64 if given that). Rows sum to one; padding stays where it is.
    Raises InputError for options out of range and for attentions that are not weights of one model on one batch.
    """
    flow = None
    for step in layer_steps(attentions, residual_weight, fuse, discard_ratio, attention_mask):
        flow = step if flow is None else step @ flow  # (batch, query, key)
    return flow


def layer_steps(attentions: Iterable[torch.Tensor], *options: Any) -> Iterator[torch.Tensor]:
    """Each layer's Â (batch, query, key), first layer first, one at a time. Options and errors: as for `rollout`."""
    step = None
    for number, layer in enumerate(() if attentions is None else attentions):
        step = layer_step(layer, number, step, *options)
        yield step
    if step is None:
        raise InputError(NO_WEIGHTS)


def layer_step(
    layer: torch.Tensor,
    number: int,
    below: torch.Tensor | None,
    residual_weight: float = 0.5,
    fuse: str = "mean",
    discard_ratio: float = 0.0,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Layer `number`'s Â (batch, query, key); `below` is the one of the layer under it, which it has to fit."""
    if not 0 <= residual_weight <= 1:
        raise InputError(f"residual_weight is {residual_weight}; allowed: 0 to 1")
    if fuse not in FUSIONS:
        raise InputError(f"fuse is {fuse!r}; allowed: {', '.join(map(repr, FUSIONS))}")
    if not 0 <= discard_ratio < 1:
        raise InputError(f"discard_ratio is {discard_ratio}; allowed: at least 0 and below 1")
    weights = checked_weights(layer, number, attention_mask, below)  # (batch, head, query, key)
    fused = FUSIONS[fuse](weights)  # (batch, query, key)
    if discard_ratio:
        fused = discard_smallest(fused, discard_ratio, allowed_entries(weights, attention_mask))
    return with_residual(fused, residual_weight)


def with_residual(fused: torch.Tensor, residual_weight: float) -> torch.Tensor:
    """One layer's Â: its attention beside the token itself, each row summing to one. Shapes (batch, query, key)."""
    identity = torch.eye(fused.shape[-1], dtype=fused.dtype, device=fused.device)
    mixed = (1 - residual_weight) * fused + residual_weight * identity
    total = mixed.sum(dim=-1, keepdim=True)  # (batch, query, 1)
    if not total.all():
        raise InputError(
            "a row has no weight left after fuse='min' or discarding; allowed with these: a residual_weight above 0"
        )
    return mixed / total


def discard_smallest(fused: torch.Tensor, ratio: float, allowed: torch.Tensor) -> torch.Tensor:
    """Set the smallest `ratio` of each text's allowed entries to zero. All shapes (batch, query, key)."""
    candidates = fused.masked_fill(~allowed, torch.inf).flatten(1)  # (batch, query · key)
    rank = candidates.argsort(dim=-1, stable=True).argsort(dim=-1)
    # 0.29 of 100 is 28.999999999999996 in floating point, and still means 29.
    dropped = (ratio * allowed.flatten(1).sum(dim=-1, keepdim=True).double() + 1e-9).floor()  # (batch, 1)
    return fused.masked_fill((rank < dropped).view_as(fused), 0.0)


def uniform_attention(layers: int, seq: int, causal: bool = True) -> list[torch.Tensor]:
    """Attention that prefers nothing: each token looks equally at all it may see. Per layer (1, 1, seq, seq), float64.

    Its rollout is the baseline: causal and in five layers, it gives the first of 28 tokens 24 % of the last one's row,
    and the first of 10 tokens 40 %.
    """
    visible = torch.ones(1, 1, seq, seq, dtype=torch.float64)
    visible = visible.tril() if causal else visible
    return [visible / visible.sum(dim=-1, keepdim=True)] * layers


@method("attention")
def explain_by_attention(question: Question, *, layer: int = -1) -> Attribution:
    """Where does the token at `position` look in one layer (default: the last), on average over its heads?

    Blind to the target: whichever word is explained, the scores are the same.
    """
    fused = []  # per layer (1, query, key)
    with undisturbed(question.model), torch.no_grad():
        output, causal = run_by_layers(question, lambda weights: fused.append(raw_attention([weights])))
    question = read_by_the_head(question, output, causal)
    scores = fused[checked_index("layer", layer, len(fused))][0, question.position]  # (seq,)
    return question.answer("attention", scores, output)


@method("rollout")
def explain_by_rollout(
    question: Question, *, residual_weight: float = 0.5, fuse: str = "mean", discard_ratio: float = 0.0
) -> Attribution:
    """How much of each input token has flowed into the token at `position` at the top?

    Blind to the target: whichever word is explained, the scores are the same. `details["baseline"]`, shape (seq,), is
    what uniform attention would give, nothing discarded. The options are those of `rollout`.
    """
    flow, layers = None, 0

    def multiply_in(weights: torch.Tensor) -> None:
        nonlocal flow, layers
        step = layer_step(weights, layers, flow, residual_weight, fuse, discard_ratio)
        flow, layers = step if flow is None else step @ flow, layers + 1  # (1, query, key)

    with undisturbed(question.model), torch.no_grad():
        output, causal = run_by_layers(question, multiply_in)
    question = read_by_the_head(question, output, causal)
    uniform = uniform_attention(layers, flow.shape[-1], causal)
    baseline = rollout(uniform, residual_weight)[0, question.position].float()  # (seq,)
    return question.answer("rollout", flow[0, question.position], output, baseline=baseline)


def run_by_layers(
    question: Question, take: Callable[[torch.Tensor], None], **inputs: torch.Tensor
) -> tuple[ModelOutput, bool]:
    """Run the model, and hand each layer's attention weights (1, head, query, key) to `take` when they are made.

    Nothing else keeps them, so that memory need not grow with the number of layers; transformers' `output_attentions`
    keeps all, and is used for architectures that are not in the table only. Stands inside `undisturbed`.
    Returns the model's output, and whether its attention is causal. Raises ModelError for attention without weights.
    """
    causal = None

    def took(weights: torch.Tensor | None) -> None:
        nonlocal causal
        if weights is None:
            raise ModelError(NO_WEIGHTS)
        if causal is None:
            causal = is_causal(weights)
        take(weights)

    if question.model.config.model_type in ROWS:
        for attention in anatomy(question.model).attentions:
            attention.register_forward_hook(lambda module, inputs, output: took(output[1]))
        return question.run(**inputs), causal
    output = question.run(output_attentions=True, **inputs)
    for weights in getattr(output, "attentions", None) or [None]:
        took(weights)
    return output, causal


def read_by_the_head(question: Question, output: ModelOutput, causal: bool) -> Question:
    """The head that classifies a text reads an encoder's first token: that row is the default, instead of the last."""
    last = question.ids.shape[1] - 1
    if question.about_classes(output) and question.position == last and not causal:
        return replace(question, position=0)
    return question

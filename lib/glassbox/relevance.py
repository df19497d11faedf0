"""LRP-ε: which tokens carry the prediction, if each operation hands its relevance back to what it was computed from?

Layer-wise relevance propagation starts with R = f at the output and walks backwards. Each operation shares what its
output z_j holds out among its inputs x_i, by its rule (see `glassbox.relevance_rules`), of which the first is

    R_i = Σ_j x_i w_ij · R_j / stab(z_j),     stab(z) = z + ε · s(z),     s(z) = 1 for z ≥ 0 and -1 below,

until the token embeddings are reached; a token's score is the sum over its embedding. Bach et al. 2015, equation 58;
for transformers Achtibat et al. 2024, "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", and
Ali et al. 2022, "XAI for Transformers: Better Explanations through Conservative Propagation". All of it is one backward
pass with a changed gradient (see `glassbox.relevance_pass`).

The scores do not add up to f by themselves. Biases and ε keep some of it, under "attnlrp" the softmax keeps or creates
much, and position embeddings are inputs too. `details["accounting"]` says how much each of them holds, and its values
sum to f. Only rule "cp" on a model that has neither biases nor position embeddings gives Σ scores = f.

Decided here, for the papers do not say: Gemma 2's soft caps c · tanh(x / c) are activations, so they hand relevance
back as it came; and attention's scores are S = (q/√d) kᵀ, so that ε stands beside the numbers that the softmax sees.

What it cannot tell you: what happens without a token, for it shares out one forward pass and knows no other. And the
shares depend on how the model's function is written down: (a b) c and a (b c) give different ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import activations

from glassbox.attention_function import attention_by, plain_attention
from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.methods import method
from glassbox.question import Question
from glassbox.relevance_pass import RelevancePass, as_activation, total
from glassbox.relevance_rules import EPSILON
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

# These are written out in powers and products, each of which would follow a rule of its own.
_WRITTEN_OUT = (
    activations.NewGELUActivation,
    activations.FastGELUActivation,
    activations.QuickGELUActivation,
    activations.AccurateGELUActivation,
)


@method("lrp")
def explain_by_lrp(question: Question, *, rule: str = "attnlrp", epsilon: float = EPSILON) -> Attribution:
    """Which tokens carry f, if each operation hands its relevance back to what it was computed from?

    rule:     "attnlrp" shares relevance between attention weights and values, and between both sides of a gate; "cp"
              takes weights and gates as constants.
    epsilon:  the ε of the stabiliser, above 0.

    Relevance starts as z ⊙ ∂f/∂z at the model's outputs z. For a logit that is f itself, for a foil the logit and minus
    the foil's; for a probability or its logarithm it is what the softmax rule hands back.

    `details["accounting"]` holds the relevance of "tokens", "positions" and "token types", what "biases", "softmax" and
    "epsilon" have absorbed, and as "target" what of f lies beyond the outputs (0 for logits). The values sum to f.

    Raises InputError for other options, ModelError for a model with an operation that has no rule.
    """
    lrp, model = RelevancePass(rule, epsilon), question.model
    embedded: list[tuple[str, torch.Tensor]] = []  # what is embedded, and its vectors (1, seq, width)

    def begin_here(kind: str, _table: nn.Embedding, _ids: Any, vectors: torch.Tensor) -> torch.Tensor:
        embedded.append((kind, vectors.detach().requires_grad_()))
        return embedded[-1][1]

    with undisturbed(model), attention_by(model, _scaled_queries), torch.enable_grad():
        for name, part in model.named_modules():
            if isinstance(part, nn.Embedding):
                kind = "token types" if "type" in name else "positions"
                kind = "tokens" if part is model.get_input_embeddings() else kind
                part.register_forward_hook(partial(begin_here, kind))
            elif isinstance(part, _WRITTEN_OUT):
                part.forward = _in_one(part.forward)
        with lrp:
            output = question.run()
        outputs, start, beyond = _start(question.settled(output), output)
        relevance = lrp.relevance(outputs, [vectors for _, vectors in embedded], start)

    accounting = {"tokens": 0.0, "positions": 0.0, "token types": 0.0} | lrp.absorbed | {"target": beyond}
    scores = torch.zeros(question.ids.shape[1], dtype=torch.float64)
    for (kind, _), of_vectors in zip(embedded, relevance, strict=True):
        of_places = of_vectors.sum(dim=-1, dtype=torch.float64)[0].cpu()  # (seq,)
        accounting[kind] += float(of_places.sum())
        if kind == "tokens":
            scores += of_places
    return question.answer("lrp", scores, output, accounting=accounting)


def _start(question: Question, output: ModelOutput) -> tuple[list[torch.Tensor], list[torch.Tensor], float]:
    """The outputs z that f was computed from, ∂f/∂z for each, and what f is more than Σ z ⊙ ∂f/∂z."""
    copies = []

    def copied(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.requires_grad:
            copies.append((value, value.detach().requires_grad_()))
            return copies[-1][1]
        return tuple(map(copied, value)) if isinstance(value, tuple) else value

    [f] = question.values(type(output)({name: copied(value) for name, value in output.items()}))
    if not f.requires_grad:
        raise InputError(
            "the target function's scalar has no gradient; allowed: one computed from the model's output by torch"
        )
    gradients = torch.autograd.grad(f, [copy for _, copy in copies], allow_unused=True)
    used = [(z, gradient) for (z, _), gradient in zip(copies, gradients, strict=True) if gradient is not None]
    reached = sum(total(z.detach(), gradient) for z, gradient in used)
    return [z for z, _ in used], [gradient for _, gradient in used], float(f.detach()) - reached


def _in_one(activation: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: as_activation(x, activation(x.detach()))


def _scaled_queries(module: nn.Module, query: torch.Tensor, *more: Any, scaling: float, **options: Any):
    """Attention as always, but S = (q · scaling) kᵀ."""
    return plain_attention(module, query * scaling, *more, scaling=1.0, **options)

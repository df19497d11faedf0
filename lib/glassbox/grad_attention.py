"""Gradient × attention: which attention weights matter to the output, and which tokens do they look at?

A weight says where a head looks; its gradient says what that is worth to the explained scalar f. Their product is, to
first order, what f would lose without the weight:

    signed     S = mean over layers l and heads h of  A_l ⊙ ∂f/∂A_l,                 read the row of `position`
    rollout    R ← R + E_h[(A_l ⊙ ∂f/∂A_l)⁺] R,   from R = I, first layer first,     read the row of `position`

The second is by Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability for Interpreting Bi-Modal and
Encoder-Decoder Transformers", section 3: what pulls against f is dropped (⁺), what is left is carried through the
layers beside the token itself, and no row is normalised. The first keeps the sign and does not look through layers: it
is about what the token at `position` looks at.

What they can't tell you: the gradient is that of one point, and says nothing about larger changes. Weights are taken as
if each could be changed alone, though a softmax ties them. MLPs are passed over, what a token had gathered below counts
as the token's own in the first, and in the signed mean heads for and against cancel: little of the mass is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from glassbox.attention import read_by_the_head, run_by_layers
from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.gradients import embeddings_of
from glassbox.methods import method
from glassbox.question import Question
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput


def attention_gradients(value: torch.Tensor, attentions: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """∂f/∂A of each layer, (batch, head, query, key), for f = `value` (one scalar) and the weights it was made with.

    Parameters may be frozen, as long as the embeddings required a gradient when the model ran. A layer that f does not
    depend on gets zeros. Raises InputError if there is no path back from f.
    """
    if not value.requires_grad:
        raise InputError(
            "the explained value has no gradient; allowed: one made by differentiable steps from the model's output, "
            "without detach or no_grad, and from embeddings that require a gradient"
        )
    return torch.autograd.grad(value, attentions, allow_unused=True, materialize_grads=True)


def grad_times_attention(attentions: Iterable[torch.Tensor], gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """What is each look worth to f? The mean over layers and heads of A ⊙ ∂f/∂A, with its sign: (batch, query, key).

    attentions, gradients: per layer (batch, head, query, key). In units of f.
    """
    worth = torch.stack([product(*layer) for layer in zip(attentions, gradients, strict=True)])
    return worth.mean(dim=(0, 2))  # (layer, batch, head, query, key) -> (batch, query, key)


def positive_rollout(attentions: Iterable[torch.Tensor], gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """How much of each input token was carried to each token at the top by looks that spoke for f? (batch, query, key).

    attentions, gradients: per layer (batch, head, query, key), first layer first. Returns R in float64, with the
    identity that it starts from; rows do not sum to one.
    """
    relevance = None
    for layer in zip(attentions, gradients, strict=True):
        step = product(*layer).clamp(min=0).mean(dim=1).double()  # (batch, query, key); small beside the identity
        if relevance is None:
            relevance = torch.eye(step.shape[-1], dtype=step.dtype, device=step.device).expand_as(step)
        relevance = relevance + step @ relevance
    return relevance


def product(weights: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """A ⊙ ∂f/∂A, (batch, head, query, key), at least float32: half precision would lose small products."""
    exact = torch.promote_types(weights.dtype, torch.float32)
    return weights.detach().to(exact) * gradient.to(exact)


@method("grad_attention")
def explain_by_grad_attention(question: Question) -> Attribution:
    """What are the looks of the token at `position` worth to the prediction, on average over all layers and heads?

    Signed: a look that speaks against the target counts against its token. The scores are the mean of the products in
    `details["by_head"]`, (layer, head, seq).
    """
    question, output, attentions, gradients = _with_gradients(question)
    scores = grad_times_attention(attentions, gradients)[0, question.position]  # (seq,)
    pairs = zip(attentions, gradients, strict=True)
    by_head = torch.stack([product(*layer)[0, :, question.position] for layer in pairs])  # (layer, head, seq)
    return question.answer("grad_attention", scores, output, by_head=by_head)


@method("grad_attention_rollout")
def explain_by_grad_attention_rollout(question: Question) -> Attribution:
    """What was carried to the token at `position` through all layers, by looks that spoke for the prediction?

    Never negative. The identity that R starts from is taken off, for it is the token itself, whatever the model does.
    """
    question, output, attentions, gradients = _with_gradients(question)
    scores = positive_rollout(attentions, gradients)[0, question.position].clone()  # (seq,)
    scores[question.position] -= 1
    return question.answer("grad_attention_rollout", scores, output)


def _with_gradients(
    question: Question,
) -> tuple[Question, ModelOutput, list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """The question with the row to read as its position, the model's output, and per layer A and ∂f/∂A."""
    attentions = []  # per layer (1, head, query, key)
    with undisturbed(question.model), torch.enable_grad():
        # With frozen parameters, nothing else would require a gradient.
        embeddings = embeddings_of(question).requires_grad_()  # (1, seq, width)
        output, causal = run_by_layers(question, attentions.append, inputs_embeds=embeddings)
        value = question.settled(output).values(output)[0]
        gradients = attention_gradients(value, attentions)
    return read_by_the_head(question, output, causal), output, attentions, gradients

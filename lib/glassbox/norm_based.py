"""Norm-based attention: how much does a head bring from each token, rather than how much does it look at it?

A head adds to its token i the sum over tokens j of A_ij · v_j W_O: a weight times a transformed value. A large weight
on a short vector brings little. So measure what is brought:

    per head   ‖A_ij^h · v_j^h W_O^h‖ = A_ij^h · ‖v_j^h W_O^h‖,      all heads together   ‖Σ_h A_ij^h · v_j^h W_O^h‖

v_j holds the bias of the values; the bias of W_O belongs to no token and is left out. In the second form, heads that
write against each other cancel. Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with
Vector Norms", section 3.

What it can't tell you: which output it was for, and whether what was brought spoke for or against it. It is about one
layer, and leaves out the residual stream beside it, the norm after it (Gemma rescales what attention writes), and MLPs.
"""

from __future__ import annotations

import torch
from transformers.pytorch_utils import Conv1D

from glassbox.attention import read_by_the_head
from glassbox.attention_function import attention_by, for_each_query, plain_attention
from glassbox.attribution import Attribution
from glassbox.errors import checked_index
from glassbox.methods import method
from glassbox.models import anatomy
from glassbox.question import Question
from glassbox.trace import undisturbed
from glassbox.weights import is_causal


def transformed_values(values: torch.Tensor, projection: torch.nn.Module) -> torch.Tensor:
    """v_j W_O for each head, (batch, head, key, width), at least float32: what is brought at a weight of one.

    values: (batch, head, key, dim).   projection: W_O, a Linear or GPT-2's Conv1D, from head · dim to width.
    """
    w_o = projection.weight.detach()
    w_o = w_o if isinstance(projection, Conv1D) else w_o.T  # (head · dim, width)
    exact = torch.promote_types(values.dtype, torch.float32)
    return values.to(exact) @ w_o.to(exact).unflatten(0, (values.shape[1], -1))  # (head, dim, width) for each text


def norms_by_head(weights: torch.Tensor, transformed: torch.Tensor) -> torch.Tensor:
    """How much does each head bring to each query from each key? (batch, head, query, key), in the stream's units.

    weights: A, (batch, head, query, key).   transformed: what `transformed_values` gives.
    """
    return weights * transformed.norm(dim=-1)[:, :, None, :]


def norms_together(weights: torch.Tensor, transformed: torch.Tensor) -> torch.Tensor:
    """How much do all heads together bring to each query from each key? (batch, query, key). As `norms_by_head`."""
    # One query at a time, since what they bring to all is query · key · width numbers.
    queries = weights.to(transformed.dtype).unbind(dim=2)  # each (batch, head, key)
    brought = (torch.einsum("bhk,bhkw->bkw", query, transformed) for query in queries)
    return torch.stack([vectors.norm(dim=-1) for vectors in brought], dim=1)


@method("attention_norms")
def explain_by_attention_norms(question: Question, *, layer: int = -1) -> Attribution:
    """How much does the attention of one layer (default: the last) bring to the token at `position` from each token?

    All heads together. Blind to the target: whichever word is explained, the scores are the same. `details` has what
    each head does, (head, seq): its "weights", its "value_norms" ‖v_j W_O‖, and the product of the two, "norms".
    Works with any attention implementation. Raises ModelError for an architecture that is not in the table.
    """
    parts = anatomy(question.model)
    number = checked_index("layer", layer, len(parts.attentions))
    seen = {}

    def watched(module, query, key, value, *rest, **more):
        mixed, weights = plain_attention(module, query, key, value, *rest, **more)
        if module is parts.attentions[number]:
            seen.update(weights=weights, values=for_each_query(value, query))  # (1, head, seq, seq or dim)
        return mixed, weights

    with undisturbed(question.model), attention_by(question.model, watched), torch.no_grad():
        output = question.run()
    position = read_by_the_head(question, output, is_causal(seen["weights"])).position
    weights = seen["weights"][:, :, position : position + 1]  # (1, head, 1, key)
    transformed = transformed_values(seen["values"], parts.output_projections[number])  # (1, head, key, width)
    return question.answer(
        "attention_norms",
        norms_together(weights, transformed)[0, 0],
        output,
        weights=weights[0, :, 0].float(),
        value_norms=transformed.norm(dim=-1)[0],
        norms=norms_by_head(weights, transformed)[0, :, 0],
    )

"""The rules of layer-wise relevance propagation, one by one: how does an operation hand relevance back to its inputs?

Each function knows one operation. It takes the operation's inputs and the relevance R of its output, and returns the
relevance of the inputs, in their shapes. The ε-rule shares R out in proportion to what each input contributed:

    z_j = Σ_i x_i w_ij + b_j,        R_i = Σ_j x_i w_ij · R_j / stab(z_j),        stab(z) = z + ε · s(z)

Bach et al. 2015, "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation",
equation 58; for attention Achtibat et al. 2024, "AttnLRP", section 3, and Ali et al. 2022, "XAI for Transformers".
Activations and RMSNorm need no function: what leaves them is handed back as it came, R_x = R_z (AttnLRP, equation 9).

What a rule does not hand back is absorbed: by a bias, by ε, or by the softmax. `glassbox.relevance` applies these rules
to whole models and counts what is absorbed.
"""

import torch
from torch.nn import functional as F

EPSILON = 1e-9  # at 1e-6 the scores of a small transformer already differ in the fourth digit from those of ε → 0


def stabilised(z: torch.Tensor, epsilon: float = EPSILON) -> torch.Tensor:
    """z, moved away from zero by ε: z + ε · s(z), where s(z) is 1 for z ≥ 0 and -1 below (torch.sign(0) would be 0)."""
    return torch.where(z >= 0, z + epsilon, z - epsilon)


def linear_rule(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    relevance: torch.Tensor,
    epsilon: float = EPSILON,
) -> torch.Tensor:
    """z = x Wᵀ + b: R_x = x ⊙ (R / stab z) W, and b keeps its share. (Bach et al. 2015, equation 58)

    x (..., in), weight (out, in) as torch.nn.Linear holds it, bias (out,) or None, relevance (..., out).
    """
    z = F.linear(x, weight, bias)  # (..., out)
    return x * (relevance / stabilised(z, epsilon) @ weight)


def residual_rule(
    a: torch.Tensor, b: torch.Tensor, relevance: torch.Tensor, epsilon: float = EPSILON
) -> tuple[torch.Tensor, torch.Tensor]:
    """z = a + b: R_a = a ⊙ R / stab z, and R_b likewise. All of one shape. (AttnLRP, equation 8)"""
    share = relevance / stabilised(a + b, epsilon)
    return a * share, b * share


def layer_norm_rule(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    relevance: torch.Tensor,
    epsilon: float = EPSILON,
    norm_epsilon: float = 1e-5,
) -> torch.Tensor:
    """y = (x - mean x) / σ ⊙ w + b: with s = (R / stab y) ⊙ w / σ, R_x = x ⊙ (s - mean s).

    σ counts as a constant (AttnLRP, proposition 3.4; Ali et al. 2022), the mean does not. x and relevance (..., width).
    """
    sigma = (x.var(dim=-1, unbiased=False, keepdim=True) + norm_epsilon).sqrt()  # (..., 1)
    y = F.layer_norm(x, x.shape[-1:], weight, bias, norm_epsilon)
    s = relevance / stabilised(y, epsilon) * weight / sigma
    return x * (s - s.mean(dim=-1, keepdim=True))


def gate_rule(relevance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """z = φ(g) ⊙ u: half to each, since neither has a better claim. (AttnLRP, proposition 3.2)"""
    return relevance / 2, relevance / 2


def matmul_rule(
    a: torch.Tensor, b: torch.Tensor, relevance: torch.Tensor, epsilon: float = EPSILON
) -> tuple[torch.Tensor, torch.Tensor]:
    """z = a b: with s = R / (2 stab z), R_a = a ⊙ (s bᵀ) and R_b = b ⊙ (aᵀ s). (AttnLRP, proposition 3.3)

    a (..., n, m), b (..., m, k), relevance (..., n, k). In attention: O = A V, and S = q kᵀ with the scaled queries.
    """
    s = relevance / (2 * stabilised(a @ b, epsilon))  # (..., n, k)
    return a * (s @ b.mT), b * (a.mT @ s)


def weighted_sum_rule(
    weights: torch.Tensor, values: torch.Tensor, relevance: torch.Tensor, epsilon: float = EPSILON
) -> torch.Tensor:
    """O = A V with constant weights A: R_V = V ⊙ Aᵀ (R / stab O). (Ali et al. 2022: attention heads as linear layers)

    weights (..., query, key), values (..., key, dim), relevance (..., query, dim). Returns the relevance of the values.
    """
    return values * (weights.mT @ (relevance / stabilised(weights @ values, epsilon)))


def softmax_rule(scores: torch.Tensor, weights: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    """A = softmax(S): R_S = S ⊙ (R_A - A ⊙ Σ_key R_A). It does not conserve relevance. (AttnLRP, proposition 3.1)

    All (..., query, key): S before the mask is added, A after; what the mask forbids has A = 0 and R_A = 0, and gets 0.
    """
    return scores * (relevance - weights * relevance.sum(dim=-1, keepdim=True))


def rotary_rule(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, relevance: torch.Tensor, epsilon: float = EPSILON
) -> torch.Tensor:
    """y = x ⊙ cos + rot(x) ⊙ sin, a linear operation: with s = R / stab y, R_x = x ⊙ (s ⊙ cos + rotᵀ(s ⊙ sin)).

    x and relevance (..., seq, dim), cos and sin (seq, dim); rot maps the halves (first, second) to (-second, first).
    """

    def rotated(halves: torch.Tensor) -> torch.Tensor:
        first, second = halves.chunk(2, dim=-1)
        return torch.cat([-second, first], dim=-1)

    s = relevance / stabilised(x * cos + rotated(x) * sin, epsilon)
    return x * (s * cos - rotated(s * sin))  # a quarter turn's transpose is the turn back: rotᵀ = -rot

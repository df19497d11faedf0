"""Sparsity: on how few tokens does an explanation rest?

With p = |a| / Σ|a|, the share of each token in the whole, and p_(1) ≤ … ≤ p_(n) from the smallest to the largest:

    Gini = Σ_i (2i - n - 1) p_(i) / n      0 when all tokens share alike, (n - 1) / n when one holds everything
    entropy H = -Σ p ln p                  ln n when all share alike, 0 when one holds everything; in nats
    effective number = exp H               as many tokens sharing alike would have the same entropy

Hurley and Rickard 2009, "Comparing Measures of Sparsity", for the Gini index; Hill 1973, "Diversity and Evenness", for
the effective number. For words instead of tokens, pass `attribution.words().scores`.

What they cannot tell you: whether the few tokens are the right ones. A sparse explanation is easier to read, and may
be wrong all the same. The Gini index grows with the number of tokens; compare it on texts of one length.
"""

from __future__ import annotations

import torch

from glassbox.errors import InputError
from glassbox.judging.rank_agreement import checked_scores


def shares(scores: torch.Tensor) -> torch.Tensor:
    """|a| / Σ|a| for scores a, (seq,) in float64; raises InputError where all are zero, for then nothing is shared."""
    sizes = checked_scores(scores).abs()
    if not sizes.any():
        raise InputError("all scores are zero, so no token has a share; allowed: at least one that is not")
    return sizes / sizes.sum()


def gini(scores: torch.Tensor) -> float:
    """How unequal are the tokens' shares? From 0, all alike, to (n - 1) / n, one token holds everything."""
    ordered = shares(scores).sort().values
    n = len(ordered)
    return float(((2 * torch.arange(1, n + 1) - n - 1) * ordered).sum() / n)


def entropy(scores: torch.Tensor) -> float:
    """How evenly are the shares spread? From 0, one token holds everything, to ln n, all alike; in nats."""
    return float(torch.special.entr(shares(scores)).sum())


def effective_number(scores: torch.Tensor) -> float:
    """On how many tokens does the explanation rest? From 1 to n."""
    return float(torch.tensor(entropy(scores), dtype=torch.float64).exp())

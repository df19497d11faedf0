"""Do two explanations order the tokens alike? Rank correlations, and the overlap of their top tokens.

Scores of different methods have different units, so only their order can be compared:

    Spearman's ρ = the correlation of the two lists of ranks; tokens with equal scores share the mean of their ranks
    Kendall's τ_b = (pairs in the same order - pairs in opposite order) / √(pairs untied in a · pairs untied in b)
    overlap at k = |top k of a ∩ top k of b| / k

Spearman 1904; Kendall 1945, "The treatment of ties in ranking problems".

What they cannot tell you: whether either explanation is right, since two methods can share one mistake. And over the
ten tokens of one sentence they tell little at all: a ρ of 0.58 may come from anything between -0.04 and 0.90. Average
them over sentences, with an interval (`glassbox.statistics`).
"""

from __future__ import annotations

import torch

from glassbox.errors import InputError


def ranks(scores: torch.Tensor) -> torch.Tensor:
    """The place of each score when the smallest comes first, from 1; equal scores share the mean of their places."""
    scores = checked_scores(scores)
    below = (scores[None, :] < scores[:, None]).sum(dim=1)  # (seq,)
    equal = (scores[None, :] == scores[:, None]).sum(dim=1)  # (seq,), itself among them
    return below + (equal + 1).double() / 2


def spearman(first: torch.Tensor, second: torch.Tensor) -> float:
    """Spearman's ρ of two lists of scores, -1 to 1; NaN where one of them is constant, since then it has no order."""
    a, b = _pair(first, second)
    a, b = ranks(a) - ranks(a).mean(), ranks(b) - ranks(b).mean()
    return _ratio((a * b).sum(), ((a * a).sum() * (b * b).sum()).sqrt())


def kendall(first: torch.Tensor, second: torch.Tensor) -> float:
    """Kendall's τ_b of two lists of scores, -1 to 1; NaN where one of them is constant."""
    a, b = _pair(first, second)
    a, b = (a[:, None] - a[None, :]).sign(), (b[:, None] - b[None, :]).sign()  # (seq, seq): each pair twice
    return _ratio((a * b).sum(), (a.abs().sum() * b.abs().sum()).sqrt())


def top_overlap(first: torch.Tensor, second: torch.Tensor, k: int) -> float:
    """The share of the k largest scores that stand at the same tokens, 0 to 1; of all tokens where there are fewer."""
    a, b = _pair(first, second)
    a, b = largest(a, k), largest(b, k)
    return float((a & b).sum()) / float(a.sum())


def largest(scores: torch.Tensor, k: int, among: torch.Tensor | None = None) -> torch.Tensor:
    """Which tokens have the k largest scores, bool (seq,): all of them where there are fewer than k.

    Scores count with their sign, and of equal scores the earlier token comes first. among: bool (seq,), the tokens to
    choose from.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise InputError(f"k is {k!r}; allowed: a whole number of tokens, 0 or more")
    scores = checked_scores(scores)
    among = torch.ones_like(scores, dtype=torch.bool) if among is None else among
    order = scores.masked_fill(~among, -torch.inf).argsort(descending=True, stable=True)
    chosen = torch.zeros_like(among)
    chosen[order[: min(k, int(among.sum()))]] = True
    return chosen


def checked_scores(scores: torch.Tensor) -> torch.Tensor:
    """One finite score per token as float64 (seq,), or InputError."""
    scores = torch.as_tensor(scores).detach().cpu().double()
    if scores.ndim != 1 or not len(scores):
        raise InputError(f"scores have the shape {tuple(scores.shape)}; allowed: (seq,), one for each token")
    if not scores.isfinite().all():
        raise InputError("scores are not finite (nan or infinite); allowed: numbers that can be put in order")
    return scores


def _pair(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = checked_scores(first), checked_scores(second)
    if first.shape != second.shape:
        raise InputError(f"there are {len(first)} scores and {len(second)}; allowed: two lists of the same tokens")
    return first, second


def _ratio(above: torch.Tensor, below: torch.Tensor) -> float:
    return float(above / below) if below else float("nan")

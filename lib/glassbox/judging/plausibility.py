"""Plausibility: does an explanation point at the words that people, or the grammar that wrote the text, call evidence?

Evidence is a truth value for each token. The scores order the tokens, and four numbers say how far up the evidence is:

    AUROC              how often a token of the evidence has a larger score than another token; a tie counts one half
    average precision  Σ_t (recall_t - recall_{t-1}) · precision_t, over the different scores t from the largest down
    top-1 hit          whether the token with the largest score is evidence
    token F1           2 · precision · recall / (precision + recall) of the k largest scores, taken as the evidence

DeYoung et al. 2020, "ERASER", section 4.1 (average precision and token F1). Without a k, as many tokens are taken as
there are in the evidence, and then precision, recall and F1 are one number. Scores count with their sign, and of equal
scores the earlier token comes first wherever some have to be chosen. A random order has an AUROC of 1/2; the chance
level of the others depends on how many tokens are evidence, so read them beside those of a random attribution.

What it cannot tell you: whether the model used the evidence. An explanation that shows what people expect, of a model
that does something else, is plausible and wrong. Ask `glassbox.faithfulness` for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from glassbox.errors import InputError
from glassbox.judging.rank_agreement import checked_scores, largest, ranks


@dataclass(frozen=True)
class Plausibility:
    """How well scores find the evidence, each from 0 to 1; see the four formulas above."""

    top1_hit: float
    auroc: float
    average_precision: float
    token_f1: float


def plausibility(
    scores: torch.Tensor, evidence: torch.Tensor, words: torch.Tensor | None = None, k: int | None = None
) -> Plausibility:
    """How well do the scores (seq,) find the evidence, bool (seq,)?

    words:  the tokens that count, bool (seq,), for instance `glassbox.removal.removable`; by default all of them.
    k:      how many tokens to take as the evidence for F1; by default as many as there are.

    Raises InputError where no token, or every token, is evidence: then there is nothing to find.
    """
    scores, evidence = _checked(scores, evidence)
    if words is not None:
        words = torch.as_tensor(words).bool().cpu()
        if words.shape != evidence.shape:
            raise InputError(f"words have the shape {tuple(words.shape)}; allowed: ({len(evidence)},), one per token")
        scores, evidence = _checked(scores[words], evidence[words])
    return Plausibility(
        top1_hit=float(evidence[largest(scores, 1)].item()),
        auroc=auroc(scores, evidence),
        average_precision=average_precision(scores, evidence),
        token_f1=token_f1(scores, evidence, k),
    )


def auroc(scores: torch.Tensor, evidence: torch.Tensor) -> float:
    """How often does a token of the evidence have a larger score than another token? 1/2 is chance."""
    scores, evidence = _checked(scores, evidence)
    found, others = int(evidence.sum()), int((~evidence).sum())
    # The sum of ranks counts, for each token of the evidence, the tokens below it: others and evidence (Mann-Whitney).
    above_others = ranks(scores)[evidence].sum() - found * (found + 1) / 2
    return float(above_others / (found * others))


def average_precision(scores: torch.Tensor, evidence: torch.Tensor) -> float:
    """How pure is the top of the order, on average over the evidence? Equal scores are taken together."""
    scores, evidence = _checked(scores, evidence)
    thresholds = scores.unique()  # (different,)
    taken = scores[None, :] >= thresholds[:, None]  # (different, seq), from all tokens to the largest scores only
    hits = (taken & evidence).sum(dim=1).double()  # (different,)
    precision = hits / taken.sum(dim=1)
    gained = hits - torch.cat([hits[1:], torch.zeros(1)])  # evidence that each threshold adds to the next higher one
    return float((precision * gained).sum() / evidence.sum())


def token_f1(scores: torch.Tensor, evidence: torch.Tensor, k: int | None = None) -> float:
    """F1 of the k largest scores, taken as the evidence; by default as many as the evidence has."""
    scores, evidence = _checked(scores, evidence)
    taken = largest(scores, int(evidence.sum()) if k is None else k)
    return 2 * int((taken & evidence).sum()) / (int(taken.sum()) + int(evidence.sum()))


def _checked(scores: torch.Tensor, evidence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scores, evidence = checked_scores(scores), torch.as_tensor(evidence).bool().cpu()
    if evidence.shape != scores.shape:
        raise InputError(f"evidence has the shape {tuple(evidence.shape)}; allowed: ({len(scores)},), one per token")
    if evidence.all() or not evidence.any():
        much = "every token" if evidence.all() else "no token"
        raise InputError(f"{much} is evidence, so there is nothing to find; allowed: some tokens, and not all")
    return scores, evidence

"""Integrated gradients: how much of the way from a text that says nothing to this one is each token's?

A gradient looks at one point. Integrated gradients walk from a baseline x' to the text's embeddings x in a straight
line, and add up what each token's movement does to f on the way:

    IG_i = Σ_d (x_id - x'_id) · ∫₀¹ ∂f/∂x_id (x' + α (x - x')) dα

Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", equation 1. By the fundamental theorem of
calculus nothing is lost (their proposition 1, completeness):  Σ_i IG_i = f(x) - f(x').  A computer can't walk without
steps, so what is missing in that sum, the gap, says how good the walk was; it is part of every answer.

Any walk will do (section 3 of the paper, "path methods"): a path is a series of points and of the moves made there, and
its integral is Σ_k ∇f(point_k) ⊙ move_k. `glassbox.paths` takes other paths than the straight one.

What they can't tell you: anything without the baseline. f(x) - f(x') is shared out, so another baseline is another
question. In between lie embeddings that belong to no word, where the model's slopes may mean nothing. A baseline of
zeros is a bad choice for models with RMSNorm, which scales any nonzero embedding up to the same length: f jumps right
at the start, no walk has steps small enough, and the gap stays. So the default is the mean of all embeddings.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.gradients import (
    Scalar,
    batches,
    checked_count,
    gradient,
    settled_at_the_text,
    texts_at_a_time,
    value_of,
    vocabulary_mean,
)
from glassbox.methods import method
from glassbox.question import Question
from glassbox.text import single_token
from glassbox.trace import undisturbed

Step = tuple[torch.Tensor, torch.Tensor]  # a point of the path and the move made there, both (seq, width)
Baseline = str | int | torch.Tensor


def path_integral(f: Scalar, path: Iterable[Step], batch_size: int = 16) -> torch.Tensor:
    """What do the moves along a path do to f? Σ_k ∇f(point_k) ⊙ move_k.

    f: from embeddings (batch, seq, width) to (batch,). Returns (seq, width).
    batch_size: how many of the path's points f sees at a time; memory grows with it, and nothing else changes.
    """
    total = 0
    for steps in batches(path, batch_size):
        points, moves = (torch.stack(part) for part in zip(*steps, strict=True))  # (step, seq, width)
        total = total + (gradient(f, points) * moves).sum(0)  # (seq, width)
    return total


def straight_path(x: torch.Tensor, baseline: torch.Tensor, steps: int) -> Iterator[Step]:
    """From the baseline to x in a straight line, at the points and with the weights of Gauss and Legendre."""
    for place, weight in zip(*gauss_legendre(steps), strict=True):
        yield baseline + place * (x - baseline), weight * (x - baseline)


def gauss_legendre(steps: int) -> tuple[list[float], list[float]]:
    """Places in (0, 1) and weights that sum to one: exact for polynomials of degree up to 2 · steps - 1."""
    from numpy.polynomial.legendre import leggauss

    places, weights = leggauss(steps)  # on (-1, 1), with weights that sum to two
    return ((places + 1) / 2).tolist(), (weights / 2).tolist()


def gauss_legendre_path_integral(
    f: Scalar, x: torch.Tensor, baseline: torch.Tensor, steps: int = 50, batch_size: int = 16
) -> torch.Tensor:
    """Integrated gradients of f at x, entry by entry: x, baseline and the result have the shape (seq, width).

    f: from embeddings (batch, seq, width) to (batch,). Errors: as for `gradients.gradient`.
    """
    return path_integral(f, straight_path(x, baseline, steps), batch_size)


@method("integrated_gradients")
def explain_by_integrated_gradients(
    question: Question, *, baseline: Baseline = "mean", steps: int = 50, batch_size: int | None = None
) -> Attribution:
    """How much does each token add on the straight way from the baseline to the text?

    baseline:    where the way starts, see `baseline_embeddings`.
    steps:       at how many points of the way the gradient is taken.
    batch_size:  how many texts the model sees at a time; by default as many as make `gradients.TOKENS_AT_A_TIME`.

    `details` hold the value at the baseline, the gap of the sum, and the gap as a share of what should be explained.
    Warns if that share is above 5 %. Raises InputError for a baseline or an option that can't be used.
    """
    checked_count("steps", steps)
    with undisturbed(question.model):
        asked, x, output = settled_at_the_text(question)
        start = baseline_embeddings(question, baseline, x)
        f, size = value_of(asked), texts_at_a_time(asked, output, batch_size)
        scores = gauss_legendre_path_integral(f, x, start, steps, size).sum(dim=-1)  # (seq,)
        at_start, at_text = values_at(f, [start, x], size)
    details = completeness("integrated_gradients", scores.sum(), at_text - at_start)
    return question.answer("integrated_gradients", scores, output, baseline_value=float(at_start), **details)


def baseline_embeddings(question: Question, baseline: Baseline, x: torch.Tensor) -> torch.Tensor:
    """A text that says nothing, as embeddings like x; (seq, width).

    baseline: "mean" (of all embeddings that the model has), "zero", one of the tokenizer's tokens "unknown", "pad" or
    "mask", any other token as a string or an id, or embeddings of the shape (width,), (seq, width) or (1, seq, width).
    """
    if isinstance(baseline, torch.Tensor) and baseline.is_floating_point():
        if baseline.shape[-1:] != x.shape[-1:] or baseline.numel() not in (x.shape[-1], x.numel()):
            allowed = f"({x.shape[-1]},) or {tuple(x.shape)}"
            raise InputError(f"the baseline has the shape {tuple(baseline.shape)}; allowed: {allowed}")
        return baseline.detach().to(x).reshape(-1, x.shape[-1]).expand_as(x)
    if baseline == "zero":
        return torch.zeros_like(x)
    if baseline == "mean":
        return vocabulary_mean(question).to(x).expand_as(x)
    ids = torch.full_like(question.ids, _token(question, baseline))  # (1, seq)
    with torch.no_grad():
        return question.model.get_input_embeddings()(ids)[0].to(x)


def _token(question: Question, baseline: str | int) -> int:
    """The id of the token that a baseline names."""
    tokenizer, special = question.tokenizer, {"unknown": "unk_token", "pad": "pad_token", "mask": "mask_token"}
    if isinstance(baseline, str) and (baseline not in special or tokenizer is None):
        return single_token(tokenizer, baseline, "baseline")
    if isinstance(baseline, str):
        token = getattr(tokenizer, f"{special[baseline]}_id")
        if token is None:
            there = [name for name, kind in special.items() if getattr(tokenizer, kind) is not None]
            allowed = ", ".join(map(repr, ["mean", "zero", *there]))
            raise InputError(
                f"this tokenizer has no {baseline} token; allowed: {allowed}, a token, its id, or embeddings"
            )
        return token
    choices = question.model.get_input_embeddings().num_embeddings
    if isinstance(baseline, bool) or not isinstance(baseline, int) or not 0 <= baseline < choices:
        allowed = f"'mean', 'zero', 'unknown', 'pad', 'mask', a token, its id (0 to {choices - 1}), or embeddings"
        raise InputError(f"the baseline is {baseline!r}; allowed: {allowed}")
    return baseline


def values_at(f: Scalar, texts: Iterable[torch.Tensor], batch_size: int) -> torch.Tensor:
    """f of each text (seq, width), some at a time; (text,)."""
    with torch.no_grad():
        return torch.cat([f(torch.stack(some)) for some in batches(texts, batch_size)])


def completeness(
    name: str, found: torch.Tensor, expected: torch.Tensor, more: str = "steps", stacklevel: int = 5
) -> dict[str, float]:
    """How far what was found is from the differences of f that it should sum to, as a number and as a share.

    Warns above 5 %, with what `more` would help, at the line that called `explain`, `stacklevel` frames up.
    """
    gap, whole = float((found - expected).abs().sum()), float(expected.abs().sum())
    share = gap / whole if whole else float(gap > 0)
    if share > 0.05:
        missed = f"{name}: the scores miss f(text) - f(baseline) by {share:.0%}"
        warnings.warn(f"{missed}; take more {more}, or another baseline", stacklevel=stacklevel)
    return {"gap": gap, "gap_share": share}

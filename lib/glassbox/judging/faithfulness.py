"""Faithfulness: does the model need the tokens that an explanation points at, and are they enough for it?

Let r_k be the k tokens with the largest scores, and p(·) the probability of what was explained:

    comprehensiveness(k) = p(x) - p(x without r_k)     large where the model needs them
    sufficiency(k) = p(x) - p(r_k alone)               near zero where they are enough, negative where they do better
    AOPC = the mean over k = 1, 5, 10, 20 and 50 % of the tokens

DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", equations 1 to 3. (Their equation 3 also
counts the empty r_0, their program does not; nor do we.) Differences are bounded by p(x), so they are all small on a
text where the model is unsure. The ratio, each of them divided by p(x), is not; but as p(x) goes to zero it grows
beyond all bounds (-99 where p rises from 1e-6 to 1e-4) and means nothing, and is NaN here.

How it is counted. Tokens are ranked by score with its sign, of equal scores the earlier first. A share of n tokens is
rounded to the nearest whole number, halves up, and is one token at least; a k above n means all. Tokens that the
tokenizer adds by itself ([CLS], a start token) are never removed and not counted in n.

What it cannot tell you: removing words makes a text that the model has hardly seen, and some of the drop is its
surprise at that. The three ways to remove (`glassbox.removal`) disagree: with [MASK] in place of words even random
scores look faithful. So compare methods under one `how` only, and beside `method="random"`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, nan
from typing import TYPE_CHECKING

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.judging.rank_agreement import checked_scores, largest
from glassbox.question import Question
from glassbox.removal import removable, replacement_id, values_without
from glassbox.text import spell

if TYPE_CHECKING:
    from pandas import DataFrame
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
SMALLEST = 1e-3  # below this p(x), a ratio says more about rounding and rare events than about the explanation

Value = Callable[[torch.Tensor], torch.Tensor]  # which tokens are kept, bool (variant, seq) -> f of each, (variant,)


@dataclass(frozen=True, repr=False)
class Faithfulness:
    """How faithful an explanation is, by number of tokens: k as a whole number, shares between 0 and 1.

    heading:            what was explained, and by which method.
    how:                how tokens were removed.
    value:              f of the whole text, mostly a probability.
    tokens:             how many tokens each k or share came to.
    comprehensiveness, sufficiency:  for each k and each share; ratios if `normalized`.
    """

    heading: str
    how: str
    value: float
    normalized: bool
    tokens: Mapping[float, int]
    comprehensiveness: Mapping[float, float]
    sufficiency: Mapping[float, float]

    @property
    def aopc_comprehensiveness(self) -> float:
        """The mean comprehensiveness over the shares."""
        return _mean_over_shares(self.comprehensiveness)

    @property
    def aopc_sufficiency(self) -> float:
        """The mean sufficiency over the shares."""
        return _mean_over_shares(self.sufficiency)

    def table(self) -> DataFrame:
        """One row for each k and share, and AOPC; columns tokens, comprehensiveness, sufficiency."""
        import pandas as pd

        rows = [(self.tokens[size], self.comprehensiveness[size], self.sufficiency[size]) for size in self.tokens]
        rows.append((None, self.aopc_comprehensiveness, self.aopc_sufficiency))
        names = [f"{size:.0%}" if size < 1 else f"k = {size}" for size in self.tokens]
        frame = pd.DataFrame(rows, [*names, "AOPC"], ["tokens", "comprehensiveness", "sufficiency"])
        return frame.astype({"tokens": "Int64"})

    def __repr__(self) -> str:
        kind = "ratios to f" if self.normalized else "differences"
        table = self.table().to_string(float_format="{:.3f}".format, na_rep="")
        return (
            f"{self.heading}\nf of the whole text is {self.value:.3f}; {kind}; tokens removed by: {self.how}\n{table}"
        )


def faithfulness(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    attribution: Attribution,
    *,
    k: Sequence[int] = (1, 3, 5),
    shares: Sequence[float] = SHARES,
    how: str = "delete",
    replacement: str | int | None = None,
    normalized: bool = False,
) -> Faithfulness:
    """Does the model need the tokens that the attribution points at, and are they enough for it?

    k, shares:         how many tokens to remove or keep, as numbers and as shares of the text.
    how, replacement:  as in `glassbox.removal.values_without`.
    normalized:        divide by f of the whole text; NaN with a warning where that is nearer to zero than 0.001.

    f is the probability of the target, whatever the attribution is of; with a foil, of the target if these two were the
    only choices; for a target that is a function, its value. Raises InputError for what can't be used.
    """
    question = question_of(model, tokenizer, attribution)
    words = removable(question).cpu()  # (seq,)
    tokens = _counts(k, shares, int(words.sum()))
    rationales = torch.stack([largest(attribution.scores, count, words) for count in tokens.values()])  # (size, seq)
    whole, without, alone = judged(value_when_kept(question, how, replacement), rationales, words)
    scale = 1.0
    if normalized:
        scale = float(whole)
        if abs(scale) < SMALLEST:
            message = f"f of the whole text is {scale:.1e}, too small to divide by: the ratios are undefined (NaN)"
            warnings.warn(message, stacklevel=2)
            scale = nan
    return Faithfulness(
        heading=attribution.heading,
        how=removal_named(question, how, replacement),
        value=float(whole),
        normalized=normalized,
        tokens=tokens,
        comprehensiveness=dict(zip(tokens, ((whole - without) / scale).tolist(), strict=True)),
        sufficiency=dict(zip(tokens, ((whole - alone) / scale).tolist(), strict=True)),
    )


def judged(
    value: Value, rationales: torch.Tensor, words: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """f of the whole text (), without each rationale (size,), and of each rationale alone (size,).

    rationales: bool (size, seq); words: bool (seq,), what may be removed at all.
    """
    size, seq = rationales.shape
    kept = torch.cat([torch.ones(1, seq, dtype=torch.bool), ~rationales, rationales | ~words])  # (1 + 2 · size, seq)
    values = value(kept)
    return values[0], values[1 : size + 1], values[size + 1 :]


def tokens_of_share(share: float, tokens: int) -> int:
    """How many of the tokens a share means: the nearest whole number, halves up, and at least one."""
    if not 0 < share < 1:
        raise InputError(f"a share is {share!r}; allowed: between 0 and 1, for instance 0.05 for 5 %")
    # 0.29 of 50 is 14.499999999999998 in floating point, and still means 14.5.
    return max(floor(share * tokens + 0.5 + 1e-9), 1)


def question_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, attribution: Attribution, of: str = "prob"
) -> Question:
    """The question that the attribution answered, asked again in probabilities (or `of`) where that is possible."""
    if attribution.ids is None:
        raise InputError(
            "the attribution does not know its token ids; allowed: one by tokens, made by glassbox.explain"
        )
    if spell(tokenizer, attribution.ids.tolist()) != attribution.tokens:
        raise InputError("the attribution has the tokens of another tokenizer; pass the one that it was made with")
    checked_scores(attribution.scores)
    of = "logit" if callable(attribution.target) or attribution.foil is not None else of
    target, foil, position = attribution.target, attribution.foil, attribution.position
    return Question.ask(model, tokenizer, attribution.ids[None], target, foil, position, of)


def value_when_kept(question: Question, how: str = "delete", replacement: str | int | None = None) -> Value:
    """f as a function of which tokens are kept; with a foil, the target's probability were there only these two."""

    def value(kept: torch.Tensor) -> torch.Tensor:
        values = values_without(question, kept, how, replacement).double().cpu()  # (variant,)
        return values.sigmoid() if question.foil is not None else values

    return value


def removal_named(question: Question, how: str, replacement: str | int | None) -> str:
    """How tokens are removed, in words, with the token that replaces them."""
    if how != "replace":
        return how
    return f"replace by {spell(question.tokenizer, [replacement_id(question, replacement)])[0]!r}"


def _counts(k: Sequence[int], shares: Sequence[float], words: int) -> dict[float, int]:
    """How many tokens each k and each share comes to."""
    if not words:
        raise InputError("there is no token in the text that may be removed; give at least one word")
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in k):
        raise InputError(f"k is {k!r}; allowed: whole numbers from 1")
    if not [*k, *shares]:
        raise InputError("neither k nor shares name a number of tokens; allowed: at least one")
    return {number: min(number, words) for number in k} | {share: tokens_of_share(share, words) for share in shares}


def _mean_over_shares(values: Mapping[float, float]) -> float:
    """NaN where no share was asked for."""
    of_shares = [value for size, value in values.items() if size < 1]
    return sum(of_shares) / len(of_shares) if of_shares else nan

"""Deletion and insertion curves: how does the prediction change while tokens go, or come, in the explanation's order?

    deletion   f of the text without its 0, 1, …, n top tokens: a good order makes f fall at once, a small area
    insertion  f of the text with only its 0, 1, …, n top tokens: a good order makes f rise at once, a large area

The area is taken by trapezoids over the share of tokens removed, or inserted, from 0 to 1, so it is a mean of f.
Samek et al. 2017, "Evaluating the Visualization of What a Deep Neural Network Has Learned", section III (removing the
most relevant first); Petsiuk et al. 2018, "RISE", section 3.3, for both curves and their areas.

Ties, tokens that are never removed, and f: as in `glassbox.faithfulness`, whose comprehensiveness and sufficiency are
points on these curves.

What they cannot tell you: as there, f of a text in ruins. On the way to nothing most of the curve is about such texts,
so look at its beginning too, not only at the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from glassbox.attribution import Attribution
from glassbox.judging.faithfulness import Value, question_of, removal_named, value_when_kept
from glassbox.judging.rank_agreement import largest
from glassbox.removal import removable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False, repr=False)
class RemovalCurves:
    """Both curves of one explanation, (n + 1,) for n tokens that may be removed, and how they were removed."""

    heading: str
    how: str
    deletion: torch.Tensor
    insertion: torch.Tensor

    @property
    def deletion_area(self) -> float:
        """The mean of f while tokens go; smaller is better."""
        return area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """The mean of f while tokens come; larger is better."""
        return area(self.insertion)

    def plot(self, title: str | None = None) -> Figure:
        """Both curves over the share of tokens that are gone or have come."""
        from glassbox import charts

        knob = torch.linspace(0, 1, len(self.deletion)).tolist()
        lines = {
            f"deletion, area {self.deletion_area:.3f}": self.deletion,
            f"insertion, area {self.insertion_area:.3f}": self.insertion,
        }
        over = "share of tokens removed or inserted, largest score first"
        return charts.curves(knob, lines, title=title or self.heading, label="f", over=over)

    def __repr__(self) -> str:
        def line(name: str, curve: torch.Tensor) -> str:
            return f"{name:<9}  area {area(curve):.3f}:  " + " ".join(f"{value:.3f}" for value in curve.tolist())

        lines = [line("deletion", self.deletion), line("insertion", self.insertion)]
        return "\n".join([self.heading, f"tokens removed by: {self.how}", *lines])


def removal_curves(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    attribution: Attribution,
    *,
    how: str = "delete",
    replacement: str | int | None = None,
) -> RemovalCurves:
    """How does f change while tokens go, or come, from the largest score to the smallest?

    how, replacement, f, and the errors raised: as for `glassbox.faithfulness`.
    """
    question = question_of(model, tokenizer, attribution)
    deletion, insertion = curves(
        value_when_kept(question, how, replacement), attribution.scores, removable(question).cpu()
    )
    return RemovalCurves(attribution.heading, removal_named(question, how, replacement), deletion, insertion)


def curves(value: Value, scores: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Deletion and insertion curve, each (n + 1,), for the n tokens that `words`, bool (seq,), marks as removable.

    value: from which tokens are kept, bool (variant, seq), to f of each variant, (variant,).
    """
    n = int(words.sum())
    top = torch.stack([largest(scores, count, words) for count in range(n + 1)])  # (n + 1, seq)
    values = value(torch.cat([~top, top | ~words]))
    return values[: n + 1], values[n + 1 :]


def area(curve: torch.Tensor) -> float:
    """The area under a curve whose points are evenly spread from 0 to 1."""
    return float(torch.trapezoid(curve) / (len(curve) - 1))

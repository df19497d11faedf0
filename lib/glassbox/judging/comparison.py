"""Several methods on one prediction: where do they agree?

Each method explains the same output of the same model. Their scores have different units, so they are shown divided by
the largest absolute one (never scaled from smallest to largest, which moves zero), and compared by order: Spearman's ρ,
Kendall's τ, and the overlap of the top k. Tokens that the tokenizer adds by itself are left out: attention piles up on
them, other methods give them zero, and both would count as disagreement about words.

Disagreement is the rule, and known as such: Krishna et al. 2022, "The Disagreement Problem in Explainable Machine
Learning", from which the overlap at k is taken.

What it cannot tell you: who is right. And on one sentence a correlation is mostly noise. Pass several texts: then each
number is a mean over the texts, with a bootstrap interval over them (`glassbox.statistics`); the unit is the text, not
the token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.judging.faithfulness import question_of
from glassbox.judging.rank_agreement import kendall, spearman, top_overlap
from glassbox.judging.statistics import bootstrap_interval
from glassbox.methods import METHODS, SHARED, explain
from glassbox.question import Target
from glassbox.removal import removable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Chosen = Iterable[str | tuple[str, Mapping[str, Any]]]  # methods by name, or as (name, its options)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several methods on the same predictions.

    methods:       a label for each, its name and its options.
    attributions:  for each text, what each method says, by label.
    spearman, kendall, overlap:  (text, method, method), NaN where a method gives all words of a text the same score.
    k:             how many top tokens `overlap` looks at.
    """

    methods: list[str]
    attributions: list[dict[str, Attribution]]
    spearman: torch.Tensor
    kendall: torch.Tensor
    overlap: torch.Tensor
    k: int

    def table(self, measure: str = "spearman") -> DataFrame:
        """The mean over the texts of "spearman", "kendall" or "overlap", methods by methods."""
        import pandas as pd

        return pd.DataFrame(self._measured(measure).nanmean(dim=0).numpy(), self.methods, self.methods)

    def interval(self, first: str, second: str, measure: str = "spearman", **options: Any) -> tuple[float, float]:
        """Between which bounds is the mean agreement over such texts? The options are those of `bootstrap_interval`."""
        values = self._measured(measure)[:, self._place(first), self._place(second)]  # (text,)
        return bootstrap_interval(values[~values.isnan()], **options)

    def plot(self, title: str | None = None, measure: str = "spearman") -> Figure:
        """The scores of all methods on one text; for several texts, how far the methods agree."""
        if len(self.attributions) == 1:
            from glassbox import figures

            shown = list(self.attributions[0].values())
            asked = shown[0].heading.split(": ", 1)[1]
            return figures.token_strip(shown, title=title or asked, names=self.methods)
        from glassbox import charts

        label = f"{self._named(measure)}, mean over {len(self.attributions)} texts"
        return charts.agreement(self.table(measure).to_numpy(), self.methods, title=title or label, label=label)

    def __repr__(self) -> str:
        lines = []
        if len(self.attributions) == 1:
            shown = self.attributions[0]
            lines += [next(iter(shown.values())).heading.split(": ", 1)[1], _side_by_side(shown)]
        for measure in ("spearman", "kendall", "overlap"):
            over = "" if len(self.attributions) == 1 else f", mean over {len(self.attributions)} texts"
            lines += [self._named(measure) + over, self.table(measure).to_string(float_format="{:.2f}".format)]
        return "\n".join(lines)

    def _measured(self, measure: str) -> torch.Tensor:
        if measure not in ("spearman", "kendall", "overlap"):
            raise InputError(f"there is no measure {measure!r}; allowed: 'spearman', 'kendall', 'overlap'")
        return getattr(self, measure)

    def _named(self, measure: str) -> str:
        names = {"spearman": "Spearman's ρ", "kendall": "Kendall's τ", "overlap": f"overlap of the top {self.k}"}
        return names[measure]

    def _place(self, method: str) -> int:
        if method not in self.methods:
            raise InputError(f"{method!r} is not compared here; allowed: {', '.join(map(repr, self.methods))}")
        return self.methods.index(method)


def compare(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor | Sequence[str | torch.Tensor],
    methods: Chosen,
    *,
    target: Target = None,
    foil: str | int | None = None,
    position: int = -1,
    of: str = "logit",
    k: int = 3,
) -> Comparison:
    """Where do several methods agree about one prediction, or about one prediction for each of several texts?

    text:     a string or token ids (1, seq), or a list of such.
    methods:  names from METHODS; for one with options, a pair: ("lrp", {"rule": "cp"}).
    k:        how many top tokens are compared for the overlap.

    The other arguments, and the errors raised, are those of `glassbox.explain`. All methods explain the same target:
    the model's own prediction if none is given.
    """
    calls, measures = labelled(methods), [spearman, kendall, partial(top_overlap, k=k)]
    attributions, agreement = [], []
    for one in several(text):
        found: dict[str, Attribution] = {}
        asked: dict[str, Any] = {"target": target, "foil": foil, "position": position, "of": of}
        for label, (name, options) in calls.items():
            found[label] = explain(model, tokenizer, one, method=name, **asked, **options)
            asked |= {"target": found[label].target, "foil": found[label].foil}
        words = removable(question_of(model, tokenizer, next(iter(found.values())))).cpu()  # (seq,)
        scores = [attribution.scores[words] for attribution in found.values()]
        attributions.append(found)
        agreement.append([_matrix(measure, scores) for measure in measures])
    by_measure = [torch.stack(texts) for texts in zip(*agreement, strict=True)]  # each (text, method, method)
    return Comparison(list(calls), attributions, *by_measure, k=k)


def labelled(methods: Chosen) -> dict[str, tuple[str, dict[str, Any]]]:
    """{label: (name, options)}, the label made of both; or InputError, before any method runs."""
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    for entry in [methods] if isinstance(methods, str) else methods:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        if name not in METHODS:
            raise InputError(f"unknown method {name!r}; allowed: {', '.join(map(repr, METHODS))}")
        for option in SHARED:
            if option in options:
                raise InputError(f"{option!r} is the same for all methods; give it once, beside them")
        said = ", ".join(f"{option}={value!r}" for option, value in sorted(options.items()))
        label = f"{name} ({said})" if said else name
        if label in calls:
            raise InputError(f"{label!r} is given twice; allowed: each method once, or with other options")
        calls[label] = (name, dict(options))
    if not calls:
        raise InputError("no method is given; allowed: one or more of " + ", ".join(map(repr, METHODS)))
    return calls


def several(text: str | torch.Tensor | Sequence[str | torch.Tensor]) -> list[str | torch.Tensor]:
    """One text or several, as a list."""
    texts = [text] if isinstance(text, str | torch.Tensor) else list(text)
    if not texts:
        raise InputError("there is no text; give at least one")
    return texts


def _matrix(measure: Callable[..., float], scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """The measure of each pair, (method, method)."""
    return torch.tensor([[measure(first, second) for second in scores] for first in scores], dtype=torch.float64)


def _side_by_side(attributions: Mapping[str, Attribution]) -> str:
    """The scores of each method, scaled, one row for each token."""
    import pandas as pd

    tokens = [repr(token)[1:-1] for token in next(iter(attributions.values())).tokens]
    columns = {label: attribution.scaled.tolist() for label, attribution in attributions.items()}
    return pd.DataFrame(columns, tokens).to_string(float_format="{:.3f}".format)

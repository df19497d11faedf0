"""`Attribution`: the answer of every method. One score for each token of a text."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import torch

from glassbox.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(eq=False, repr=False)
class Attribution:
    """How much each token counted for one output of a model.

    tokens:        the text's tokens as they stand in it, each with its leading space.
    scores:        one per token, float32, shape (seq,); what a score means depends on the method.
    target:        what was explained: a token id, a class, or the function that was passed.
    target_token:  the same in words; `foil` and `foil_token` likewise.
    position:      the token at which the model made this prediction.
    of, value:     which reading of the target ("logit", "logprob", "prob", "function"), and what it was.
    word_spans:    (word, first token, token after the last) for each word, used by `words`.
    details:       what a method adds, for instance rollout's baseline, shape (seq,).
    ids:           the text as token ids, (seq,), for whoever asks the model again; None for an attribution by words.
    """

    tokens: list[str]
    scores: torch.Tensor
    method: str
    target: int | Callable
    target_token: str
    position: int
    of: str
    value: float
    word_spans: list[tuple[str, int, int]]
    foil: int | None = None
    foil_token: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    ids: torch.Tensor | None = None

    def __post_init__(self) -> None:
        self.scores = torch.as_tensor(self.scores).detach().float().cpu()
        if self.scores.shape != (len(self.tokens),):
            shape, tokens = tuple(self.scores.shape), len(self.tokens)
            raise InputError(f"scores have the shape {shape}; allowed: ({tokens},), one for each token")

    @property
    def ranks(self) -> torch.Tensor:
        """The place of each token when the largest score comes first, from 1; equal scores keep the text's order."""
        return self.scores.argsort(descending=True, stable=True).argsort() + 1

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k tokens with the largest scores, largest first."""
        order = self.scores.argsort(descending=True, stable=True)[:k]
        return [(self.tokens[place], float(self.scores[place])) for place in order]

    def words(self) -> "Attribution":
        """The same attribution by words: a word's score is the sum over its tokens."""
        spans = self.word_spans
        word_of_token = torch.tensor([word for word, (_, start, stop) in enumerate(spans) for _ in range(start, stop)])

        def merged(scores: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(spans)).index_add(0, word_of_token, scores)  # (words,)

        details = dict(self.details)
        if "baseline" in details:
            details["baseline"] = merged(details["baseline"])
        return replace(
            self,
            tokens=[word for word, _, _ in spans],
            scores=merged(self.scores),
            position=int(word_of_token[self.position]),
            word_spans=[(word, place, place + 1) for place, (word, _, _) in enumerate(spans)],
            details=details,
            ids=None,
        )

    @property
    def scaled(self) -> torch.Tensor:
        """The scores divided by the largest absolute one, (seq,): zero stays zero, and every sign stays."""
        return self.scores / self._largest()

    def plot(self, title: str | None = None) -> "Figure":
        """A bar for each token, see `glassbox.figures.token_bars`."""
        from glassbox import figures  # matplotlib loads when something is drawn, not before

        return figures.token_bars(self, title=title)

    @property
    def heading(self) -> str:
        """What was explained, in one line."""
        foil = "" if self.foil_token is None else f" rather than {self.foil_token!r}"
        place = f"token {self.position} {self.tokens[self.position]!r}"
        return f"{self.method}: {self.target_token!r}{foil} at {place} ({self.of} {self.value:.3f})"

    def __repr__(self) -> str:
        names = [repr(token)[1:-1] for token in self.tokens]  # a line break shows as \n
        width = max(map(len, names))
        largest = self._largest()
        lines = [
            f"{place:>3}  {name:<{width}}  {score:>8.3f}  {'█' * round(20 * abs(score) / largest)}".rstrip()
            for place, (name, score) in enumerate(zip(names, self.scores.tolist(), strict=True))
        ]
        return "\n".join([self.heading, *lines])

    def _repr_html_(self) -> str:
        """The text with its tokens shaded: blue for, orange against. It paints its own ground, for dark pages too."""
        largest = self._largest()
        spans = [
            f'<span title="{score:.3f}" style="background:rgba({_ORANGE if score < 0 else _BLUE},'
            f'{0.75 * abs(score) / largest:.2f});padding:2px 1px">{escape(token)}</span>'
            for token, score in zip(self.tokens, self.scores.tolist(), strict=True)
        ]
        return (
            '<div style="background:#fcfcfb;color:#1b1b1a;padding:8px;font-family:monospace;white-space:pre-wrap;'
            f'line-height:1.9"><div style="color:#5f5e59">{escape(self.heading)}</div>{"".join(spans)}</div>'
        )

    def _largest(self) -> float:
        return float(self.scores.abs().max()) or 1.0


_BLUE, _ORANGE = "57,135,229", "235,104,52"
